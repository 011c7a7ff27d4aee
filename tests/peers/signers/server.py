"""Two signers that others wrote, apsig and bovine, for tests: a small server, steered over HTTP.

    python3 server.py PORT

Whoever is asked for at /users/NAME exists. What arrives is checked by both libraries. It ends when its standard input
does.
"""

import asyncio
import contextlib
import datetime
import email.utils
import json
import logging
import sys
import types
from base64 import b64encode
from hashlib import sha256
from unittest import mock
from urllib.parse import urlsplit

import aiohttp
import apsig.rfc9421
from aiohttp import web
from apsig.actor.keytools import KeyUtil
from apsig.draft.sign import Signer
from apsig.draft.verify import Verifier
from apsig.proof.sign import ProofSigner
from apsig.rfc9421 import RFC9421Signer
from bovine import BovineActor
from bovine.clients import lookup_uri_with_webfinger, signed_http_methods
from bovine.clients.signed_http import SignedHttpClient
from bovine.crypto import build_validate_http_signature_raw, generate_rsa_public_private_key
from bovine.crypto.types import CryptographicIdentifier
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PORT = int(sys.argv[1])
BASE = f"http://127.0.0.1:{PORT}"
TYPE = "application/activity+json"
PUBLIC_PEM, PRIVATE_PEM = generate_rsa_public_private_key()
PRIVATE = load_pem_private_key(PRIVATE_PEM.encode(), password=None)
ED25519 = Ed25519PrivateKey.generate()

# What has arrived, and whose signature each library found on it.
SEEN = []


def actor_id(name):
    return f"{BASE}/users/{name}"


def key_id(name):
    return f"{actor_id(name)}#main-key"


def actor(name):
    me = actor_id(name)
    ed25519 = KeyUtil(public_key=ED25519.public_key()).encode_multibase()
    multikey = {"id": f"{me}#ed25519-key", "type": "Multikey", "controller": me, "publicKeyMultibase": ed25519}
    return {
        "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"],
        "id": me,
        "type": "Person",
        "preferredUsername": name,
        "inbox": f"{me}/inbox",
        "publicKey": {"id": key_id(name), "owner": me, "publicKeyPem": PUBLIC_PEM},
        "assertionMethod": [multikey],
    }


def sign_cavage(name, url, body, at):
    headers = {"Content-Type": TYPE, "Date": http_date(at)}
    return Signer(headers, PRIVATE, "POST", url, key_id(name), body).sign()


def sign_rfc9421(name, url, body, at, covered):
    """With apsig's own choice of components and these; apsig always signs for the present moment."""
    signer = RFC9421Signer(PRIVATE, key_id(name))
    signer.sign_headers = signer.sign_headers + covered
    digest = f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"
    headers = {"Content-Type": TYPE, "Content-Digest": digest, "Date": http_date(at)}
    moment = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    clock = types.SimpleNamespace(datetime=types.SimpleNamespace(now=lambda _: moment), timezone=datetime.timezone)
    target = urlsplit(url)
    with mock.patch.object(apsig.rfc9421, "dt", clock):
        signed = signer.sign("POST", target.path, target.netloc, headers, body)
    # apsig 0.6.0 replaces it by one that has the name of the algorithm twice.
    return {**signed, "content-digest": digest}


def http_date(at):
    return email.utils.formatdate(at, usegmt=True)


class Spoiled:
    """Sends other bytes than were signed."""

    def __init__(self, session, spoil):
        self.session, self.spoil = session, spoil

    async def post(self, url, data, headers):
        data = data.encode() if isinstance(data, str) else data
        return await self.session.post(url, data=self.spoil(data), headers=headers)


async def post(session, wish):
    """Signs an activity and posts it, as `signer` does it, `offset` seconds off, with `replace` done on the way."""
    name, url, body = wish["name"], wish["inbox"], json.dumps(activity(wish)).encode()
    at = datetime.datetime.now().timestamp() + wish.get("offset", 0)
    old, new = wish.get("replace", ["", ""])
    session = Spoiled(session, lambda data: data.replace(old.encode(), new.encode()) if old else data)
    match wish["signer"]:
        case "bovine":
            with mock.patch.object(signed_http_methods, "get_gmt_now", lambda: http_date(at)):
                answer = await SignedHttpClient(session, key_id(name), PRIVATE_PEM).post(url, body.decode())
        case "apsig-cavage" | "apsig-cavage-proof":
            answer = await session.post(url, body, sign_cavage(name, url, body, at))
        case "apsig-rfc9421":
            answer = await session.post(url, body, sign_rfc9421(name, url, body, at, ["content-digest"]))
        case "apsig-rfc9421-as-it-comes":
            answer = await session.post(url, body, sign_rfc9421(name, url, body, at, []))
        case other:
            raise ValueError(f"nobody signs as {other}")
    text = await answer.text()
    return {"status": answer.status, "code": json.loads(text)["code"] if text else None}


def activity(wish):
    me = actor_id(wish["name"])
    made = {"@context": "https://www.w3.org/ns/activitystreams", "actor": me, **wish["activity"]}
    made["id"] = f"{me}#{made['type']}"
    if not wish["signer"].endswith("-proof"):
        return made
    options = {
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-jcs-2022",
        "proofPurpose": "assertionMethod",
        "verificationMethod": f"{me}#ed25519-key",
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(),
    }
    return ProofSigner(ED25519).sign(made, options)


async def look(session, wish):
    """Finds somebody by their handle and reads their actor, signed, with bovine."""
    found, _ = await lookup_uri_with_webfinger(session, f"acct:{wish['handle']}", domain=wish["server"])
    reader = BovineActor(actor_id=actor_id("bovine"), public_key_url=key_id("bovine"), secret=PRIVATE_PEM)
    async with reader:
        return {"found": found, "actor": await reader.get(found)}


async def checked(request):
    """Whose signature apsig and bovine find on a request."""
    body = await request.read()
    headers = {name.lower(): value for name, value in request.headers.items()}
    url = f"{BASE}{request.path_qs}"
    owners = {}

    async def retrieve(wanted):
        async with request.app["session"].get(wanted, headers={"accept": TYPE}) as answer:
            key = json.loads(await answer.text())["publicKey"]
        owners[wanted] = key
        return CryptographicIdentifier.from_pem(key["publicKeyPem"], key["owner"])

    by_bovine = await build_validate_http_signature_raw(retrieve)(
        request.method, url, headers, lambda: asyncio.sleep(0, body)
    )
    by_apsig = None
    for key in owners.values():
        by_apsig = Verifier(key["publicKeyPem"], request.method, url, headers, body).verify()
    SEEN.append(
        {
            "method": request.method,
            "path": request.path,
            "type": json.loads(body).get("type") if body else None,
            "apsig": by_apsig,
            "bovine": by_bovine,
        }
    )


async def show_actor(request):
    await checked(request)
    return web.Response(text=json.dumps(actor(request.match_info["name"])), content_type=TYPE)


async def take(request):
    await checked(request)
    return web.Response(status=202)


async def do(request):
    deed = {"post": post, "look": look}[request.match_info["deed"]]
    return web.json_response(await deed(request.app["session"], await request.json()))


async def seen(_):
    return web.json_response(SEEN)


async def main():
    logging.basicConfig(level=logging.DEBUG)
    app = web.Application()
    app.add_routes(
        [
            web.get("/users/{name}", show_actor),
            web.post("/users/{name}/inbox", take),
            web.post("/do/{deed}", do),
            web.get("/seen", seen),
        ]
    )
    async with aiohttp.ClientSession() as session:
        app["session"] = session
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", PORT).start()
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()
        await runner.cleanup()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
