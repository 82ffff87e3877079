/**
 * Host keys that are known beforehand, in the form of OpenSSH's known_hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): a control
 * plane is never reached through a key that nobody has vouched for, so there is no trust on first use.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { KmsEtcdError } from "../../../core/errors";

interface KnownHostLine {
  readonly revoked: boolean;
  matches(host: string): boolean;
  readonly type: string;
  /** Base64, as in the line. */
  readonly key: string;
}

export interface KnownHosts {
  /** Key types that are known for the host, in the order of the lines: the server is asked for one of these. */
  typesOf(address: string, port: number): readonly string[];
  /** Why the key that a server has shown can't be trusted; undefined where it can. */
  problem(address: string, port: number, key: Buffer): KmsEtcdError | undefined;
}

/** Throws `invalid-input`, naming the line, for text that is no known_hosts. */
export function parseKnownHosts(text: string): KnownHosts {
  const lines = text.split(/\r?\n/).flatMap((line, index) => parseLine(line.trim(), index + 1) ?? []);
  const of = (address: string, port: number) => {
    const host = hostPattern(address, port);
    return lines.filter((line) => line.matches(host));
  };
  return {
    typesOf: (address, port) => [...new Set(of(address, port).flatMap((line) => (line.revoked ? [] : [line.type])))],
    problem: (address, port, key) => {
      const found = of(address, port);
      const shown = key.toString("base64");
      const at = hostPattern(address, port);
      if (found.some((line) => line.revoked && line.key === shown)) {
        return refused(
          `the host key of ${at} (${fingerprint(key)}) is revoked`,
          "find out who answers at that address",
        );
      }
      const trusted = found.filter((line) => !line.revoked);
      if (trusted.some((line) => line.key === shown)) return undefined;
      const type = keyType(key);
      const known = trusted.filter((line) => line.type === type);
      if (known.length === 0) return unknownHost(at);
      const expected = known.map((line) => fingerprint(Buffer.from(line.key, "base64"))).join(" or ");
      return refused(
        `the ${type} host key of ${at} has changed: it is ${fingerprint(key)}, but knownHosts has ${expected}`,
        "if the host was installed anew, compare the fingerprint at its console and put the new line of " +
          "/etc/ssh/ssh_host_*_key.pub into knownHosts; otherwise somebody is in between",
      );
    },
  };
}

/** There is no line for the host, so nothing that it could show would be trusted. */
export function unknownHost(host: string): KmsEtcdError {
  return refused(
    `knownHosts has no line for ${host}`,
    `add one: "${host}" and the content of /etc/ssh/ssh_host_ed25519_key.pub on that host`,
  );
}

/** How known_hosts names a host: its port stands with it only where it is not 22. */
export function hostPattern(address: string, port: number): string {
  const lower = address.toLowerCase();
  return port === 22 ? lower : `[${lower}]:${port}`;
}

/** As `ssh-keygen -l` shows it. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** The type is the first field of every public key (RFC 4253, 6.6). */
function keyType(key: Buffer): string {
  const length = key.length < 4 ? 0 : key.readUInt32BE(0);
  return key.toString("latin1", 4, 4 + length);
}

function refused(message: string, remedy: string): KmsEtcdError {
  return new KmsEtcdError("permission-denied", message, { remedy });
}

function parseLine(line: string, number: number): KnownHostLine | undefined {
  if (line === "" || line.startsWith("#")) return undefined;
  const fields = line.split(/\s+/);
  const marker = fields[0]?.startsWith("@") ? fields.shift() : undefined;
  const [hosts, type, key] = fields;
  if (marker === "@cert-authority") {
    throw invalid(number, "has @cert-authority: host certificates are not supported", "give the hosts' own keys");
  }
  if (marker !== undefined && marker !== "@revoked") throw invalid(number, `has the unknown marker ${marker}`);
  if (hosts === undefined || type === undefined || key === undefined) {
    throw invalid(number, "is not of the form: host type key");
  }
  if (keyType(Buffer.from(key, "base64")) !== type) throw invalid(number, `has a key that is no ${type}`);
  return { revoked: marker === "@revoked", matches: matcher(hosts, number), type, key };
}

function matcher(hosts: string, number: number): (host: string) => boolean {
  if (hosts.startsWith("|")) {
    const [, version, salt, hash] = hosts.split("|");
    if (version !== "1" || salt === undefined || hash === undefined)
      throw invalid(number, "has a hash of another form");
    const expected = Buffer.from(hash, "base64");
    return (host) => {
      const found = createHmac("sha1", Buffer.from(salt, "base64")).update(host).digest();
      return found.length === expected.length && timingSafeEqual(found, expected);
    };
  }
  const patterns = hosts.split(",").map((pattern) => ({
    negated: pattern.startsWith("!"),
    form: globExpression(pattern.replace(/^!/, "").toLowerCase()),
  }));
  return (host) => {
    const hits = patterns.filter(({ form }) => form.test(host));
    return hits.length > 0 && hits.every(({ negated }) => !negated);
  };
}

/** `*` and `?` stand for any characters; brackets belong to the port. */
function globExpression(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}

function invalid(number: number, problem: string, remedy = "give lines as in ~/.ssh/known_hosts"): KmsEtcdError {
  return new KmsEtcdError("invalid-input", `line ${number} of knownHosts ${problem}`, { remedy });
}
