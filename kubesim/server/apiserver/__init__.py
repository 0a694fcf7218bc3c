"""The apiserver over HTTP: an ASGI application in front of ``kubesim.apiserver``, and the process around it."""
