/** The answer to `rpc.discover`: the protocol's reference as an OpenRPC document (https://spec.open-rpc.org). */
import { ERRORS, METHODS, type MethodReference, SCHEMAS } from '../../protocol/reference.ts';
import { PROTOCOL_VERSION } from '../../protocol/rpc.ts';

const OPENRPC_VERSION = '1.3.2';

/** @param version of the package. */
export function openRpcJson(version: string): string {
  return JSON.stringify({
    openrpc: OPENRPC_VERSION,
    info: {
      title: 'xen-domid',
      description: `Which domid is the VM with this UUID? Version ${PROTOCOL_VERSION} of the protocol.`,
      version,
      license: { name: 'MIT' },
    },
    methods: Object.entries(METHODS).map(([name, method]) => methodObject(name, method)),
    components: {
      schemas: SCHEMAS,
      errors: Object.fromEntries(
        Object.entries(ERRORS).map(([name, { code, meaning }]) => [
          name,
          { code, message: withoutLinks(meaning) },
        ]),
      ),
    },
  });
}

function methodObject(
  name: string,
  { params, result, schema, asksHypervisor }: MethodReference,
): object {
  const errors = [
    ...(Object.keys(params).length > 0 ? ['InvalidParams'] : []),
    ...(asksHypervisor ? ['Unavailable', 'Refused'] : []),
  ];
  return {
    name,
    paramStructure: 'by-name',
    params: Object.entries(params).map(([param, { schema: type, optional, meaning }]) => ({
      name: param,
      description: meaning,
      required: optional !== true,
      schema: type,
    })),
    result: { name: 'result', description: withoutLinks(result), schema },
    errors: errors.map((error) => ({ $ref: `#/components/errors/${error}` })),
  };
}

/** Links of the reference lead to other places of the documentation. */
function withoutLinks(text: string): string {
  return text.replaceAll(/\[([^\]]+)\]\((?!https:)[^)]*\)/g, '$1');
}
