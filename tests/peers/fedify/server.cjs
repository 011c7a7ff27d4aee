// A small server made with Fedify, for tests: one person, everything in memory, steered over HTTP.
//
//   node server.cjs PORT SCHEME
//
// SCHEME, `rfc9421` or `cavage`, is the only signature scheme that it and everybody it talks to understands; Fedify by
// itself understands both. `nonce` is `rfc9421` with Fedify's own challenge: each signature has to repeat what the refusal of
// the one before gave. GETs of its actor must be signed. It ends when its standard input does.
"use strict";

const http = require("node:http");
const { configure, getConsoleSink } = require("@logtape/logtape");
const {
  createFederation,
  generateCryptoKeyPair,
  MemoryKvStore,
} = require("@fedify/fedify");
const {
  Accept,
  Announce,
  Create,
  Delete,
  EmojiReact,
  Endpoints,
  Follow,
  Like,
  Note,
  Person,
  PUBLIC_COLLECTION,
  Undo,
  Update,
} = require("@fedify/fedify/vocab");

const [port, atFirst] = process.argv.slice(2);
const challenges = atFirst === "nonce";
let scheme = challenges ? "rfc9421" : atFirst;
const base = `http://127.0.0.1:${port}`;
const me = "bo";

// What has happened, as GET /seen shows it.
const seen = { accepted: [], posts: {}, received: [], sent: [] };

function schemeOf(headers) {
  if (headers.has("signature-input")) return "rfc9421";
  return headers.has("signature") ? "cavage" : null;
}

// What somebody with only one scheme makes of a request signed in the other one.
function understood(headers) {
  if (schemeOf(headers) === scheme) return headers;
  const left = new Headers(headers);
  left.delete(scheme === "cavage" ? "signature-input" : "signature");
  return left;
}

// Everything that Fedify asks for goes through here. An inbox that does not understand the signature refuses it.
const reallyFetch = globalThis.fetch;
globalThis.fetch = async (target, options) => {
  const request = new Request(target, options);
  const signed = schemeOf(request.headers);
  const refused = request.method === "POST" && signed !== scheme;
  const answer = refused ? new Response("", { status: 401 }) : await reallyFetch(request);
  const { method, url } = request;
  seen.sent.push({ method, url, scheme: signed, status: answer.status });
  return answer;
};

const federation = createFederation({
  kv: new MemoryKvStore(),
  allowPrivateAddress: true,
  origin: base,
  inboxChallengePolicy: { enabled: challenges, requestNonce: true },
});

let keys;
federation
  .setActorDispatcher("/users/{identifier}", async (context, identifier) => {
    if (identifier !== me) return null;
    const pairs = await context.getActorKeyPairs(identifier);
    return new Person({
      id: context.getActorUri(identifier),
      preferredUsername: identifier,
      name: "Bo",
      inbox: context.getInboxUri(identifier),
      endpoints: new Endpoints({ sharedInbox: context.getInboxUri() }),
      publicKey: pairs[0].cryptographicKey,
      assertionMethods: pairs.map((pair) => pair.multikey),
    });
  })
  .setKeyPairsDispatcher(() => keys)
  .authorize(async (context) => (await context.getSignedKeyOwner()) != null);

federation
  .setInboxListeners("/users/{identifier}/inbox", "/inbox")
  .on(Accept, (_, accept) => {
    seen.accepted.push(accept.objectId.href);
  })
  .on(Create, async (context, create) => {
    await keep(context, await create.getObject(context));
  })
  .on(Update, async (context, update) => {
    await keep(context, await update.getObject(context));
  })
  .on(Delete, (_, gone) => {
    delete seen.posts[gone.objectId.href];
  });

// Shows a post as Fedify reads it.
async function keep(context, note) {
  if (!(note instanceof Note)) return;
  const pictures = [];
  for await (const picture of note.getAttachments(context)) {
    pictures.push({ url: picture.url.href, type: picture.mediaType, name: `${picture.name}` });
  }
  seen.posts[note.id.href] = {
    author: note.attributionId.href,
    content: `${note.content}`,
    edited: note.updated != null,
    pictures,
  };
}

// What POST /do/… can ask for. Each takes the JSON sent along and answers with JSON.
const deeds = {
  // Reads somebody by the address of their actor, with a signed request, and their handle by WebFinger.
  async look(context, { actor }) {
    const them = await look(context, actor);
    const found = await context.lookupWebFinger(actor);
    return { type: them.constructor.name, name: `${them.name}`, inbox: them.inboxId.href, handle: found.subject };
  },
  follow: (context, { actor }) => send(context, actor, new Follow({ ...mine(context), object: new URL(actor) })),
  like: (context, { actor, post }) => send(context, actor, new Like({ ...mine(context), object: new URL(post) })),
  react: (context, { actor, post }) =>
    send(context, actor, new EmojiReact({ ...mine(context), object: new URL(post), content: "🎉" })),
  boost: (context, { actor, post }) =>
    send(context, actor, new Announce({ ...mine(context), object: new URL(post), ...audience(actor) })),
  reply: (context, { actor, post }) => {
    const note = new Note({
      id: fresh(),
      attribution: context.getActorUri(me),
      replyTarget: new URL(post),
      content: "<p>Hello!</p>",
      ...audience(actor),
    });
    return send(context, actor, new Create({ ...mine(context), object: note, ...audience(actor) }));
  },
  // Understands another scheme from now on, as after an upgrade.
  demand(_, { scheme: other }) {
    scheme = other;
    return {};
  },
  // Takes back what an earlier deed sent.
  undo: (context, { actor, id }) => send(context, actor, new Undo({ ...mine(context), object: sent.get(id) })),
};

const sent = new Map();
const fresh = () => new URL(`/things/${crypto.randomUUID()}`, base);
const mine = (context) => ({ id: fresh(), actor: context.getActorUri(me) });
const audience = (actor) => ({ to: PUBLIC_COLLECTION, cc: new URL(actor) });

async function look(context, actor) {
  const documentLoader = await context.getDocumentLoader({ identifier: me });
  const them = await context.lookupObject(actor, { documentLoader });
  if (them == null) throw new Error(`Fedify finds nobody at ${actor}`);
  return them;
}

// Without a queue, this throws unless it is taken.
async function send(context, actor, activity) {
  await context.sendActivity({ identifier: me }, await look(context, actor), activity);
  sent.set(activity.id.href, activity);
  return { id: activity.id.href };
}

async function answer(request) {
  const { pathname } = new URL(request.url);
  if (pathname === "/seen") return Response.json(seen);
  if (pathname.startsWith("/do/")) {
    const context = federation.createContext(new URL(base), undefined);
    return Response.json(await deeds[pathname.slice(4)](context, await request.json()));
  }
  const response = await federation.fetch(new Request(request, { headers: understood(request.headers) }), {
    contextData: undefined,
  });
  const { method, headers } = request;
  seen.received.push({ method, path: pathname, scheme: schemeOf(headers), status: response.status });
  return response;
}

async function serve(incoming, outgoing) {
  const body = [];
  for await (const chunk of incoming) body.push(chunk);
  const { method, headers, url } = incoming;
  const request = new Request(new URL(url, base), {
    method,
    headers,
    body: method === "POST" ? Buffer.concat(body) : undefined,
  });
  const response = await answer(request).catch((cause) => {
    console.error(cause);
    return new Response(`${cause}`, { status: 500 });
  });
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(Buffer.from(await response.arrayBuffer()));
}

async function main() {
  await configure({
    sinks: { console: getConsoleSink() },
    loggers: [
      { category: "fedify", sinks: ["console"], lowestLevel: "debug" },
      { category: ["logtape", "meta"], sinks: ["console"], lowestLevel: "error" },
    ],
  });
  keys = [await generateCryptoKeyPair("RSASSA-PKCS1-v1_5"), await generateCryptoKeyPair("Ed25519")];
  http.createServer(serve).listen(Number(port), "127.0.0.1");
  process.stdin.on("end", () => process.exit()).resume();
}

main();
