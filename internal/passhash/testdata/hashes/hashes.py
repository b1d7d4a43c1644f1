# Prints a hash of each password, as a line of JSON. With which libraries, says
# make.sh.
import json
import sys
from importlib.metadata import version

PASSWORDS = json.load(open("passwords.json"))


def show(by, make, default=None):
    """Prints make's hashes of all passwords, and default's of the first."""
    for password in PASSWORDS:
        print(json.dumps({"by": by, "password": password, "hash": make(password)}))
    if default:
        print(json.dumps({"by": by + ", default", "password": PASSWORDS[0], "hash": default(PASSWORDS[0])}))


def werkzeug():
    from werkzeug.security import check_password_hash, generate_password_hash

    by = "Werkzeug " + version("werkzeug")

    def method(name, salt_length):
        def make(password):
            text = generate_password_hash(password, name, salt_length)
            assert check_password_hash(text, password)
            return text
        return make

    show(by, method("pbkdf2:sha256:1000", 16), method("pbkdf2", 16) if by >= "Werkzeug 3" else method("pbkdf2:sha256", 16))
    show(by, method("pbkdf2:sha1:1000", 8))
    show(by, method("pbkdf2:sha512:1000", 64))
    show(by, method("pbkdf2:sha256:1", 1))
    if by >= "Werkzeug 3":
        show(by, method("scrypt:1024:8:1", 16), method("scrypt", 16))
        show(by, method("scrypt:2:1:16", 1))
        show(by, method("scrypt:64:32:3", 22))


def django():
    import django
    from django.conf import settings

    settings.configure()
    from django.contrib.auth import hashers

    by = "Django " + django.get_version()

    def salted(cls, salt="seasalt", **attributes):
        hasher = type(cls.__name__, (cls,), attributes)()

        def make(password):
            text = hasher.encode(password, salt or hasher.salt())
            assert hasher.verify(password, text)
            return text
        return make

    if hasattr(hashers, "ScryptPasswordHasher"):
        cls = hashers.ScryptPasswordHasher
        show(by, salted(cls, work_factor=1024), salted(cls, None))
        show(by, salted(cls, "s", work_factor=64, block_size=4, parallelism=3))
        show(by, salted(hashers.PBKDF2PasswordHasher, iterations=1000), salted(hashers.PBKDF2PasswordHasher, None))
        return
    show(by, salted(hashers.PBKDF2PasswordHasher, iterations=1000), salted(hashers.PBKDF2PasswordHasher, None))
    show(by, salted(hashers.PBKDF2SHA1PasswordHasher, iterations=1), salted(hashers.PBKDF2SHA1PasswordHasher, None))
    cls = hashers.BCryptSHA256PasswordHasher
    show(by, salted(cls, None, rounds=4), salted(cls, None))
    show(by, salted(hashers.BCryptPasswordHasher, None, rounds=4))
    cls = hashers.Argon2PasswordHasher
    show(by, salted(cls, None, time_cost=2, memory_cost=64, parallelism=1), salted(cls, None))
    import argon2

    class Argon2i(cls):  # as Django made them before 3.2
        def params(self):
            params = super().params()
            params.type, params.hash_len = argon2.low_level.Type.I, 16
            return params
    show(by, salted(Argon2i, None, time_cost=2, memory_cost=512, parallelism=2))


def others():
    import argon2
    import bcrypt

    by = "argon2-cffi " + version("argon2-cffi")
    for kind in argon2.Type.I, argon2.Type.ID:
        show(by, argon2.PasswordHasher(2, 64, 2, 32, 16, type=kind).hash, argon2.PasswordHasher(type=kind).hash)
        show(by, argon2.PasswordHasher(1, 8, 1, 64, 64, type=kind).hash)
    by = "bcrypt " + bcrypt.__version__
    for prefix in b"2a", b"2b":
        show(by, lambda p: bcrypt.hashpw(p.encode(), bcrypt.gensalt(4, prefix)).decode(),
             lambda p: bcrypt.hashpw(p.encode(), bcrypt.gensalt(prefix=prefix)).decode())


globals()[sys.argv[1]]()
