"""The verbs, one file per idea. Each is a generator of etcd requests: ``answer = yield request``; see ``kubesim.apiserver.server``."""
