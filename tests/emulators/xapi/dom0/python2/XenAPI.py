"""As much of the SDK as a plugin uses, for Python 2.7, which the one on PyPI no longer runs on."""

try:
    import xmlrpc.client as xmlrpc
except ImportError:  # Python 2
    import xmlrpclib as xmlrpc


class Failure(Exception):
    def __init__(self, details):
        Exception.__init__(self, details)
        self.details = details

    def __str__(self):
        return str(self.details)


class _Calls(object):
    """`session.xenapi.VM.start(...)`: a name for every dot."""

    def __init__(self, session, name):
        self._session, self._name = session, name

    def __getattr__(self, name):
        return _Calls(self._session, self._name + "." + name if self._name else name)

    def __call__(self, *params):
        call = getattr(self._session.server, self._name)
        answer = call(self._session._session, *params)
        if answer["Status"] != "Success":
            raise Failure(answer["ErrorDescription"])
        return answer["Value"]


class Session(object):
    def __init__(self, url):
        self.server = xmlrpc.ServerProxy(url, allow_none=True)
        self._session = None
        self.xenapi = _Calls(self, "")
