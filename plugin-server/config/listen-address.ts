/** Addresses as the upstream plugins' flags write them. */
import { resolve } from "node:path";
import type { Flags } from "./flags";
import type { ListenAddress } from "./operation-config";

/** Longer paths do not fit into Linux' sockaddr_un (unix(7): 108 bytes with the final zero). */
const socketPathBytes = 107;

/**
 * The absolute path in `unix://path`; with `bare`, also of a path alone. One that is not absolute begins in the working
 * directory, as upstream. Notes a problem and returns undefined for anything else.
 */
export function socketPath(flags: Flags, name: string, value: string, form: "unix-url" | "bare"): string | undefined {
  const given = /^unix:\/\//i.test(value) ? value.slice("unix://".length) : form === "bare" ? value : "";
  const path = resolve(given);
  if (given.startsWith("@") || given.includes("\0")) {
    // Go binds a name in Linux' abstract namespace for it. That has no file mode: every process of the host could connect.
    flags.problems.push(`--${name} is "${value}": abstract sockets are not served, give the path of a file`);
  } else if (given === "" || given.endsWith("/")) {
    const example = form === "bare" ? "/path/of/the.sock" : "unix:///path/of/the.socket";
    flags.problems.push(`--${name} is "${value}": give the path of a socket, for example ${example}`);
  } else if (Buffer.byteLength(path) > socketPathBytes) {
    flags.problems.push(
      `--${name} is ${Buffer.byteLength(path)} bytes long: a socket's path has at most ${socketPathBytes}`,
    );
  } else {
    return path;
  }
  return undefined;
}

/** `port`, `:port`, `host:port` or `[v6]:port`; undefined for `none` and port 0, which turn the server off. */
export function listenAddress(
  flags: Flags,
  name: string,
  fallback: string,
  defaultHost = "",
): ListenAddress | undefined {
  const value = flags.text(name) ?? fallback;
  const match = /^(?:(?<host>\[[0-9a-fA-F:.]+\]|[^:[\]]*):)?(?<port>\d+)$/.exec(value);
  const port = match ? Number(match.groups?.["port"]) : Number.NaN;
  if (value === "none" || port === 0) return undefined;
  if (!(port <= 65_535)) {
    flags.problems.push(`--${name} is "${value}": give a port, host:port, or "none"`);
    return undefined;
  }
  const host = match?.groups?.["host"] ?? defaultHost;
  return { host: host.replace(/^\[|\]$/g, ""), port, explicit: flags.has(name) };
}
