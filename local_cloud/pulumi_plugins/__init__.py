"""Pulumi plugins for machines where the official ones cannot be downloaded.

They speak Pulumi's own gRPC protocol (https://github.com/pulumi/pulumi/tree/master/proto) and make the same API calls
as the official plugins, so that the program, the engine and the cloud cannot tell them apart.
"""
