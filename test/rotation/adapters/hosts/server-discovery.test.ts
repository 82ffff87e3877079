import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { KmsEtcdError } from "../../../../core/errors";
import {
  compareWithList,
  type IdentityLease,
  type KnownServer,
  readLeases,
} from "../../../../rotation/adapters/hosts/server-discovery";

const idHash = (name: string) => `sha256:${createHash("sha256").update(name).digest("hex")}`;
const lease = (hostName: string, isFresh = true): IdentityLease => ({
  name: `apiserver-${hostName}`,
  hostName,
  renewedAt: 0,
  isFresh,
});
const server = (name: string, hostName: string | undefined = name): KnownServer => ({
  name,
  idHash: hostName === "" ? undefined : idHash(`apiserver-${hostName}`),
});

describe("discovery of API servers", () => {
  it("every live Lease is a listed server's => none is unlisted", () => {
    const found = compareWithList([server("cp1"), server("cp2", "node-b")], [lease("cp1"), lease("node-b")]);
    const discovery = "API server identity Leases in kube-system: 2 live";
    assert.deepEqual(found, { unlistedServers: [], discovery, discoveryProblem: undefined });
  });

  it("a live Lease of no listed server => unlisted, by its host name", () => {
    assert.deepEqual(compareWithList([server("cp1")], [lease("cp1"), lease("cp9")]).unlistedServers, ["cp9"]);
  });

  it("a Lease that nobody renews any more is of no live server, and is named all the same", () => {
    const found = compareWithList([server("cp1")], [lease("cp1"), lease("cp9", false)]);
    assert.deepEqual(found.unlistedServers, []);
    assert.match(found.discovery, /: 1 live; not renewed any more: the Lease of cp9$/);
    const listed = compareWithList([server("cp1"), server("cp2")], [lease("cp1"), lease("cp2", false)]);
    assert.ok(!listed.discovery.includes("not renewed"), "a listed server that is away is said elsewhere");
  });

  it("servers that share a host name share a Lease => said, because one more could not be seen", () => {
    const found = compareWithList([server("cp1", "box"), server("cp2", "box")], [lease("box")]);
    assert.deepEqual(found.unlistedServers, []);
    assert.match(found.discovery, /cp1, cp2 share the Lease of host name box/);
  });

  it("a listed server that has not been seen may own a Lease that is left => not unlisted, but said", () => {
    const found = compareWithList([server("cp1"), server("cp2", "")], [lease("cp1"), lease("node-b")]);
    assert.deepEqual(found.unlistedServers, []);
    assert.match(found.discovery, /the Lease of node-b may be that of cp2, not seen yet/);
  });

  it("more Leases are left than listed servers unseen => all of them are named", () => {
    const found = compareWithList([server("cp1"), server("cp2", "")], [lease("cp1"), lease("x"), lease("y")]);
    assert.deepEqual(found.unlistedServers, ["x", "y"]);
  });

  it("a listed server that has not been seen, with a Lease under its own name, owns it", () => {
    const found = compareWithList([server("cp1"), server("cp2", "")], [lease("cp1"), lease("cp2"), lease("x")]);
    assert.deepEqual(found.unlistedServers, ["x"]);
  });

  it("no Leases to be had => said, with the reason", () => {
    const problem = new KmsEtcdError("permission-denied", "cp1: 403");
    const unreadable = compareWithList([server("cp1")], { problem });
    assert.match(unreadable.discovery, /listed servers only.*cp1: 403/);
    assert.match(unreadable.discoveryProblem ?? "", /cannot be read .*cp1: 403/);
    assert.match(compareWithList([server("cp1")], []).discovery, /listed servers only: no API server keeps/);
  });

  it("a Lease is fresh by the API server's clock", () => {
    const now = Date.parse("2026-01-01T00:01:00Z");
    const items = ["2026-01-01T00:00:00.5Z", "2025-12-31T23:59:59Z"].map((renewTime, index) => ({
      metadata: { name: `l${index}`, labels: { "kubernetes.io/hostname": `h${index}` } },
      spec: { renewTime },
    }));
    assert.deepEqual(readLeases(JSON.stringify({ items }), now), [
      { name: "l0", hostName: "h0", renewedAt: now - 59_500, isFresh: true },
      { name: "l1", hostName: "h1", renewedAt: now - 61_000, isFresh: false },
    ]);
  });
});
