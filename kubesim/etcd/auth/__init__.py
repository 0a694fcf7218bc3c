"""Who may do what: users, roles and the ranges they may read and write, and the tokens that stand for users. Pure.

``errors`` what is refused · ``intervals`` unions of ranges · ``store`` users and roles, replicated · ``tokens`` who is logged in ·
``rules`` which request needs which permission.
"""
