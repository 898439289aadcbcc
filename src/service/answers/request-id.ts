/** The id of a request, echoed in its answer exactly as it was, or refused. */

/**
 * Returns `id` as JSON; undefined if it is not a valid id or cannot be echoed exactly.
 * @param source the id as the client wrote it, needed for numbers: JSON.parse may have rounded it.
 */
export function idJson(id: unknown, source: () => string | undefined): string | undefined {
  if (id === null) return 'null';
  if (typeof id === 'string') return JSON.stringify(id);
  if (typeof id !== 'number' || !Number.isFinite(id)) return undefined;
  const json = JSON.stringify(id);
  const written = source();
  return written === json || (written !== undefined && decimalOf(written) === decimalOf(json))
    ? json
    : undefined;
}

/** Returns the value of a JSON number in a normal form: digits without zeros at either end, and a power of ten. */
function decimalOf(number: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number);
  if (match === null) return 'none';
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const power =
    BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length);
  return `${sign}${significant}e${power}`;
}

const VALUE = /\s*:\s*([^\s,}]+)/y;

/**
 * Returns the id of the request in `text` as it is written.
 * @param text a JSON object.
 */
export function writtenId(text: string): string | undefined {
  const at = text.indexOf('"id"');
  // Usually there is one "id" and no escape: then it is the key.
  if (text.lastIndexOf('"id"') !== at || text.includes('\\')) return writtenIds(text)[0];
  VALUE.lastIndex = at + 4;
  return VALUE.exec(text)?.[1];
}

const TOKEN = /"(?:[^"\\]+|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/**
 * Returns the ids of the requests in `text` as they are written: one for each element of a batch.
 * @param text valid JSON: a request or a batch.
 */
export function writtenIds(text: string): (string | undefined)[] {
  const tokens = text.match(TOKEN) ?? [];
  const requestDepth = tokens[0] === '[' ? 2 : 1;
  const ids: (string | undefined)[] = [undefined];
  let depth = 0;
  let isKey = false;
  for (const [index, token] of tokens.entries()) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (token === ',' && depth === requestDepth - 1) ids.push(undefined);
    else if (isKey && depth === requestDepth && JSON.parse(token) === 'id')
      ids[ids.length - 1] = tokens[index + 2];
    isKey = token === '{' || token === ',';
  }
  return ids;
}
