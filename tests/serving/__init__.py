"""A server as a real process, and a raw client that sees every byte: what the tests over sockets share."""

from serving.answer import Answer, BrokenAnswer, Reader
from serving.client import Client
from serving.process import APPS, Server, default_command
from serving.script import request, script

__all__ = ["APPS", "Answer", "BrokenAnswer", "Client", "Reader", "Server", "default_command", "request", "script"]
