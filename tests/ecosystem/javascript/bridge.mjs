// The AWS SDK for JavaScript v3 behind the pipe of bridges.py. The client is the default one, so on an `http://`
// endpoint it speaks HTTP/2 by prior knowledge; only its retries are off.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import * as sdk from "@aws-sdk/client-kinesis";

const { version } = createRequire(import.meta.url)("@aws-sdk/client-kinesis/package.json");
const kinesis = new sdk.KinesisClient({ maxAttempts: 1 });
const wire = new Set();
const subscriptions = new Map();

kinesis.middlewareStack.add(
  (next) => async (args) => {
    const result = await next(args);
    const protocol = kinesis.config.requestHandler.metadata?.handlerProtocol ?? "unknown protocol";
    wire.add(`${protocol} ${result.response.headers["content-type"]}`);
    return result;
  },
  // Next to the request handler: what comes out of `next` here is the HTTP answer itself.
  { step: "deserialize", priority: "low", name: "noteWire" },
);

const send = (message) => process.stdout.write(JSON.stringify(message) + "\n");

/** The driver's JSON as the SDK takes it. */
function decode(value) {
  if (Array.isArray(value)) return value.map(decode);
  if (value === null || typeof value !== "object") return value;
  if ("$blob" in value) return new Uint8Array(Buffer.from(value.$blob, "base64"));
  if ("$time" in value) return new Date(value.$time);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item)]));
}

/** What the SDK returned as the driver reads it. */
function encode(value) {
  if (value instanceof Uint8Array) return { $blob: Buffer.from(value).toString("base64") };
  if (value instanceof Date) return { $time: value.getTime() };
  if (Array.isArray(value)) return value.map(encode);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, item]) => key !== "$metadata" && item !== undefined)
      .map(([key, item]) => [key, encode(item)]),
  );
}

/** An error of the service, or of this program or the connection. */
function failure(error) {
  return error instanceof sdk.KinesisServiceException
    ? { error: error.name, message: error.message }
    : { broken: error.stack ?? String(error) };
}

async function follow(name, stream) {
  try {
    for await (const event of stream) {
      send({ subscription: name, event: encode(event.SubscribeToShardEvent) });
    }
    send({ subscription: name, end: true });
  } catch (error) {
    if (subscriptions.has(name)) send({ subscription: name, ...failure(error) });
  }
}

async function handle(request) {
  if (request.about) {
    return { client: "AWS SDK for JavaScript v3", version, wire: [...wire].sort() };
  }
  if (request.unsubscribe) {
    const abort = subscriptions.get(request.unsubscribe);
    subscriptions.delete(request.unsubscribe);
    abort.abort();
    return {};
  }
  const input = decode(request.in);
  if (request.call) return encode(await kinesis.send(new sdk[`${request.call}Command`](input)));
  if (request.pages) {
    const pages = [];
    for await (const page of sdk[`paginate${request.pages}`]({ client: kinesis }, input)) pages.push(encode(page));
    return pages;
  }
  if (request.wait) {
    await sdk[`waitUntil${request.wait}`]({ client: kinesis, maxWaitTime: 60 }, input);
    return {};
  }
  const abort = new AbortController();
  const answer = await kinesis.send(new sdk.SubscribeToShardCommand(input), { abortSignal: abort.signal });
  subscriptions.set(request.subscribe, abort);
  void follow(request.subscribe, answer.EventStream);
  return {};
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    send({ out: await handle(JSON.parse(line)) });
  } catch (error) {
    send(failure(error));
  }
}
process.exit(0);
