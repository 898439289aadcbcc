/**
 * xenstore's nodes, and transactions on them. A transaction conflicts, as in C xenstored, if the generation of a node
 * that it used has changed. Permissions are stored but not checked, because clients of the socket are in dom0.
 */

/** A change of which watches are notified. */
export interface StoreChange {
  readonly path: string;
  /** For a removal: the paths of the node and of all nodes below it. */
  readonly removed?: readonly string[];
}

export interface StoreNode {
  readonly value: Buffer;
  /** Names, in the order in which they were added. */
  readonly children: ReadonlySet<string>;
  /** Number of the last change to the node or to the set of its children. */
  readonly generation: number;
  /** In the format of a GET_PERMS reply, for example `n0\0`. */
  readonly permissions: string;
}

interface MutableNode {
  value: Buffer;
  children: Set<string>;
  generation: number;
  permissions: string;
}

export const ROOT = '/';
const NO_VALUE = Buffer.alloc(0);
const DOM0_ONLY = 'n0\0';

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash === 0 ? ROOT : path.slice(0, slash);
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function below(path: string, name: string): string {
  return path === ROOT ? `/${name}` : `${path}/${name}`;
}

function emptyNode(generation: number): MutableNode {
  return { value: NO_VALUE, children: new Set(), generation, permissions: DOM0_ONLY };
}

/** Operations on nodes, in the tree itself or in a transaction on it. */
export abstract class StoreView {
  abstract get(path: string): StoreNode | undefined;
  protected abstract forChange(path: string): MutableNode | undefined;
  protected abstract add(path: string): MutableNode;
  protected abstract drop(path: string): void;
  protected abstract changed(change: StoreChange): void;

  write(path: string, value: Buffer): void {
    this.#obtain(path).value = value;
    this.changed({ path });
  }

  /** Creates the node and its missing ancestors. */
  mkdir(path: string): void {
    if (this.get(path) !== undefined) return;
    this.#obtain(path);
    this.changed({ path });
  }

  /** @returns false if there is no such node. */
  setPermissions(path: string, permissions: string): boolean {
    const node = this.forChange(path);
    if (node === undefined) return false;
    node.permissions = permissions;
    this.changed({ path });
    return true;
  }

  /** Removes the node and all nodes below it. @returns false if neither the node nor its parent exists. */
  remove(path: string): boolean {
    if (this.get(path) === undefined) return this.get(parentOf(path)) !== undefined;
    const removed = [...this.#subtree(path)];
    for (const each of removed) this.drop(each);
    this.forChange(parentOf(path))?.children.delete(nameOf(path));
    this.changed({ path, removed });
    return true;
  }

  #obtain(path: string): MutableNode {
    const node = this.forChange(path);
    if (node !== undefined) return node;
    this.#obtain(parentOf(path)).children.add(nameOf(path));
    return this.add(path);
  }

  *#subtree(path: string): Generator<string> {
    yield path;
    for (const name of this.get(path)?.children ?? []) yield* this.#subtree(below(path, name));
  }
}

export class StoreTree extends StoreView {
  readonly #nodes = new Map<string, MutableNode>();
  readonly #onChange: (change: StoreChange) => void;
  #generation = 0;

  constructor(onChange: (change: StoreChange) => void) {
    super();
    this.#onChange = onChange;
    this.add(ROOT);
  }

  override get(path: string): StoreNode | undefined {
    return this.#nodes.get(path);
  }

  begin(): StoreTransaction {
    return new StoreTransaction(this);
  }

  /** Called by a transaction that commits: stores its nodes in the tree and reports its changes. */
  take(nodes: ReadonlyMap<string, MutableNode | undefined>, changes: readonly StoreChange[]): void {
    for (const [path, node] of nodes) {
      if (node === undefined) this.#nodes.delete(path);
      else this.#nodes.set(path, { ...node, generation: ++this.#generation });
    }
    for (const change of changes) this.#onChange(change);
  }

  protected override forChange(path: string): MutableNode | undefined {
    const node = this.#nodes.get(path);
    if (node !== undefined) node.generation = ++this.#generation;
    return node;
  }

  protected override add(path: string): MutableNode {
    const node = emptyNode(++this.#generation);
    this.#nodes.set(path, node);
    return node;
  }

  protected override drop(path: string): void {
    this.#nodes.delete(path);
  }

  protected override changed(change: StoreChange): void {
    this.#onChange(change);
  }
}

export class StoreTransaction extends StoreView {
  readonly #tree: StoreTree;
  /** Generation of each node at its first use in this transaction; 0 if it did not exist. */
  readonly #seen = new Map<string, number>();
  /** Nodes that this transaction changed; undefined for each one it removed. */
  readonly #own = new Map<string, MutableNode | undefined>();
  readonly #changes: StoreChange[] = [];

  constructor(tree: StoreTree) {
    super();
    this.#tree = tree;
  }

  override get(path: string): StoreNode | undefined {
    if (this.#own.has(path)) return this.#own.get(path);
    const node = this.#tree.get(path);
    if (!this.#seen.has(path)) this.#seen.set(path, node?.generation ?? 0);
    return node;
  }

  /** @returns false, without any change, if a node that the transaction used has changed meanwhile. */
  commit(): boolean {
    for (const [path, generation] of this.#seen) {
      if ((this.#tree.get(path)?.generation ?? 0) !== generation) return false;
    }
    this.#tree.take(this.#own, this.#changes);
    return true;
  }

  protected override forChange(path: string): MutableNode | undefined {
    const node = this.get(path);
    if (node === undefined) return undefined;
    const own = this.#own.get(path);
    if (own !== undefined) return own;
    const copy = { ...node, children: new Set(node.children) };
    this.#own.set(path, copy);
    return copy;
  }

  protected override add(path: string): MutableNode {
    const node = emptyNode(0);
    this.#own.set(path, node);
    return node;
  }

  protected override drop(path: string): void {
    this.#own.set(path, undefined);
  }

  protected override changed(change: StoreChange): void {
    this.#changes.push(change);
  }
}
