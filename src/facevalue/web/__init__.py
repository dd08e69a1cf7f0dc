"""The browser app: one page, used as a site of static files (``export --to web``) and by the server (``serve``).

``static/`` is the page itself, ``npm/`` names the engines that run a network in a browser.
"""
