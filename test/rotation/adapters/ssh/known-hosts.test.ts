import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { parseKnownHosts } from "../../../../rotation/adapters/ssh/known-hosts";

function key(type: string, content: string): Buffer {
  const name = Buffer.from(type);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(name.length);
  return Buffer.concat([head, name, Buffer.from(content)]);
}

const ed25519 = key("ssh-ed25519", "the host's");
const other = key("ssh-ed25519", "another");
const rsa = key("ssh-rsa", "rsa");
const line = (host: string, bytes: Buffer, type = "ssh-ed25519") => `${host} ${type} ${bytes.toString("base64")}`;

describe("known host keys", () => {
  it("the key of the line is trusted, at its port alone", () => {
    const known = parseKnownHosts(`# mine\n\n${line("cp1.example.com", ed25519)} a comment\n`);
    assert.equal(known.problem("cp1.example.com", 22, ed25519), undefined);
    assert.equal(known.problem("CP1.Example.com", 22, ed25519), undefined);
    assert.match(
      known.problem("cp1.example.com", 2222, ed25519)?.message ?? "",
      /no line for \[cp1.example.com\]:2222/,
    );
    assert.match(known.problem("cp1.example.com", 2222, ed25519)?.remedy ?? "", /ssh_host_ed25519_key.pub/);
  });

  it("another key of a known type => has changed, with both fingerprints and what to do", () => {
    const problem = parseKnownHosts(line("[10.0.0.4]:2222", ed25519)).problem("10.0.0.4", 2222, other);
    assert.equal(problem?.code, "permission-denied");
    assert.equal(problem.message.match(/SHA256:[A-Za-z0-9+/]{43}/g)?.length, 2);
    assert.match(problem.message, /has changed/);
    assert.match(problem.remedy ?? "", /installed anew.*somebody is in between/);
  });

  it("a key of a type that is not listed is not trusted, and the known types are asked for", () => {
    const known = parseKnownHosts([line("cp1", ed25519), line("cp1", rsa, "ssh-rsa")].join("\n"));
    assert.deepEqual(known.typesOf("cp1", 22), ["ssh-ed25519", "ssh-rsa"]);
    assert.equal(known.problem("cp1", 22, rsa), undefined);
    assert.match(parseKnownHosts(line("cp1", ed25519)).problem("cp1", 22, rsa)?.message ?? "", /no line for cp1/);
  });

  it("hashed hosts, lists, wildcards and negation are understood", () => {
    const salt = randomBytes(20);
    const hashed = `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update("[cp1]:2222").digest("base64")}`;
    assert.equal(parseKnownHosts(line(hashed, ed25519)).problem("cp1", 2222, ed25519), undefined);
    assert.ok(parseKnownHosts(line(hashed, ed25519)).problem("cp2", 2222, ed25519));
    const known = parseKnownHosts(line("*.example.com,!bad.example.com,10.0.0.?", ed25519));
    assert.equal(known.problem("cp1.example.com", 22, ed25519), undefined);
    assert.equal(known.problem("10.0.0.7", 22, ed25519), undefined);
    assert.ok(known.problem("bad.example.com", 22, ed25519));
    assert.ok(known.problem("10.0.0.17", 22, ed25519));
  });

  it("a revoked key is refused, whatever other lines say", () => {
    const known = parseKnownHosts(`${line("cp1", ed25519)}\n@revoked ${line("*", ed25519)}`);
    assert.match(known.problem("cp1", 22, ed25519)?.message ?? "", /is revoked/);
  });

  for (const [what, text, reason] of [
    ["half a line", "cp1 ssh-ed25519", /line 1 .*host type key/],
    ["a key of another type", `\ncp1 ssh-rsa ${ed25519.toString("base64")}`, /line 2 .*no ssh-rsa/],
    ["a certificate authority", `@cert-authority ${line("*", ed25519)}`, /not supported/],
    ["a private key", "-----BEGIN OPENSSH PRIVATE KEY-----", /line 1/],
  ] as const) {
    it(`${what} => refused, with the line's number and not its text`, () => {
      assert.throws(
        () => parseKnownHosts(text),
        (error: Error) => reason.test(error.message) && !error.message.includes(ed25519.toString("base64")),
      );
    });
  }
});
