/** `rpc.discover` describes the service as it is, in the form of the OpenRPC specification. */
import jsonMetaSchema from '@json-schema-tools/meta-schema';
import openRpcMetaSchema from '@open-rpc/meta-schema';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Client, type Message, openRoom, type Room } from '../support/daemon-room.ts';
import { uuidOf } from '../support/vms.ts';

/** Two domains have it. */
const TWIN = uuidOf(5);

let room: Room;
let client: Client;
let document: Message;
beforeAll(async () => {
  room = await openRoom({ xenstore: true });
  room.host.createDomain({ uuid: TWIN });
  room.host.createDomain({ uuid: TWIN });
  client = await Client.connect(room.path);
  document = (await client.call('rpc.discover')).result;
});
afterAll(async () => {
  client.close();
  await room.close();
});

/** Forbids properties that a schema does not name. */
function strict(schema: Message): Message {
  if (Array.isArray(schema)) return schema.map(strict);
  if (typeof schema !== 'object' || schema === null) return schema;
  const inside = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, strict(value)]),
  );
  return schema.properties === undefined ? inside : { ...inside, additionalProperties: false };
}

function methodOf(name: string): Message {
  return document.methods.find((method: Message) => method.name === name);
}

/** Returns the mistakes in the result of a method by its schema. */
function mistakesIn(name: string, result: unknown): unknown {
  const { schema } = methodOf(name).result;
  const ajv = new Ajv({ strict: false });
  ajv.validate({ ...strict(schema), components: strict(document.components) }, result);
  return ajv.errors;
}

it('is valid by the meta-schema of OpenRPC', () => {
  const ajv = new Ajv({ strict: false });
  ajv.addMetaSchema(jsonMetaSchema);
  ajv.validate(openRpcMetaSchema, document);
  expect(ajv.errors).toBeNull();
});

it('names methods that there are', async () => {
  for (const { name } of document.methods) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    expect((await client.call(name)).error?.code).not.toBe(-32601);
  }
});

it('names the params that a method needs, and those that it takes', async () => {
  for (const { name, params } of document.methods) {
    const [needed] = params.filter(({ required }: Message) => required);
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const { error } = await client.call(name);
    if (needed === undefined) expect(error).toBeUndefined();
    else expect(error.message).toContain(`"${needed.name}" is missing`);
    for (const { name: param } of params) {
      // oxlint-disable-next-line no-await-in-loop
      const wrong = await client.call(name, { [param]: {} });
      expect(wrong.error).toMatchObject({ code: -32602 });
    }
  }
});

it.each<[string, object]>([
  ['lookup', { uuid: uuidOf(1) }],
  ['lookup', { uuid: uuidOf(77) }],
  ['lookup', { uuid: TWIN }],
  ['domid', { uuid: uuidOf(1) }],
  ['domid', { uuid: uuidOf(77) }],
  ['domid', { uuid: TWIN }],
  ['lookupMany', { uuids: [uuidOf(1), uuidOf(77), TWIN] }],
  ['get', { domid: 1 }],
  ['get', { domid: 99 }],
  ['list', {}],
  ['list', { names: true }],
  ['subscribe', {}],
  ['subscribe', { token: 'x:1' }],
  ['stats', {}],
  ['version', {}],
  ['ping', {}],
  ['rpc.discover', {}],
])('describes the result of %s %j, to the last field', async (name, params) => {
  const { result } = await client.call(name, params);
  expect(result).toBeDefined();
  expect(mistakesIn(name, result)).toBeNull();
});
