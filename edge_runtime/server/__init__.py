"""The REST service and the live page: what a listener hears, and any model, over HTTP. Needs the ``serve`` extra.

Starlette and uvicorn are imported only by modules of this package, and those only when something is served.
"""
