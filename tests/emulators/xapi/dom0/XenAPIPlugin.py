"""Stands for xapi's own module of that name in dom0: same protocol, and the same two names for plugins.

Python 2.7 and 3. The pool is the one at XAPI_EMULATOR, where dom0's speaks to xapi's unix socket.
"""

from __future__ import print_function

import os
import sys

import XenAPI

try:
    import xmlrpc.client as xmlrpc
except ImportError:  # Python 2
    import xmlrpclib as xmlrpc


class Failure(Exception):
    def __init__(self, code, params):
        Exception.__init__(self)
        self.params = [code]
        self.params.extend(params)

    def __str__(self):
        return str(self.params)


def _respond(**response):
    print(xmlrpc.dumps((response,), "", True))


def dispatch(functions):
    """Answer the call in argv[1] with the function of that name: f(session, args) returns a string."""
    if len(sys.argv) != 2:
        raise Exception("a plugin takes one argument")
    (session_id, args), name = xmlrpc.loads(sys.argv[1])
    if name not in functions:
        _respond(Status="Failure", ErrorDescription=["UNKNOWN_XENAPI_PLUGIN_FUNCTION", name])
        return
    session = XenAPI.Session(os.environ["XAPI_EMULATOR"])
    session._session = session_id
    try:
        value = functions[name](session, args)
    except Failure as failure:
        _respond(Status="Failure", ErrorDescription=failure.params)
    except Exception as error:
        what = ["XENAPI_PLUGIN_FAILURE", name, error.__class__.__name__, str(error)]
        _respond(Status="Failure", ErrorDescription=what)
    else:
        _respond(Status="Success", Value=value)
