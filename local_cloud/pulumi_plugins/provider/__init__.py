"""What the resource plugins have in common: properties and their rules, and the provider's side of Pulumi's protocol.

A plugin describes its kinds of resources (`resource.Resource`) and functions (`resource.Function`); `server.Provider`
does the rest: checks, differences, previews, partial failures.
"""
