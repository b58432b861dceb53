"""The local cloud's API: does it conform, and does it behave?"""
