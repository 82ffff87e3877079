import assert from "node:assert/strict";
import { type EtcdClient, etcdClient } from "../../../../rotation/adapters/etcd/etcd-client";
import { unservedValues } from "../../../../rotation/adapters/etcd/unserved-values";
import { type FakeEtcd, fakeEtcd } from "./etcd-fake";

describe("values of kinds that nobody serves", function () {
  this.timeout(30_000); // other work may share the machine
  const signal = new AbortController().signal;
  const encrypted = Buffer.from("k8s:enc:aescbc:v1:old:0123456789abcdef0123456789abcdef");
  const plaintext = Buffer.from("k8s\0rest");
  const served = ["secrets", "services", "endpoints", "ingresses.networking.k8s.io", "pandas.example.com"];
  let etcd: FakeEtcd;
  let client: EtcdClient;
  beforeEach(async () => {
    etcd = await fakeEtcd();
    client = etcdClient({ endpoints: [etcd.endpoint] });
  });
  afterEach(() => {
    client.close();
    etcd.close();
  });

  const store = (prefix: string, count: number, value: Buffer) => {
    for (let index = 0; index < count; index++) etcd.values.set(`${prefix}${index}`, value);
  };
  const found = (prefix = "/registry") => unservedValues(client, prefix, served, signal);

  it("encrypted, of a built-in kind => found, and once however many there are", async () => {
    store("/registry/secrets/default/", 3, encrypted);
    store("/registry/volumeattributesclasses/", 700, encrypted);
    store("/registry/zebras/default/", 1, Buffer.from("k8s:enc:future:v9:x:data"));
    assert.deepEqual(await found(), ["/registry/volumeattributesclasses/", "/registry/zebras/"]);
  });

  it("plaintext, what is served under another name, custom resources, and what is no object => not meant", async () => {
    store("/registry/volumeattributesclasses/", 2, plaintext);
    store("/registry/services/specs/default/", 1, encrypted);
    store("/registry/services/endpoints/default/", 1, encrypted);
    store("/registry/ingress/default/", 1, encrypted);
    store("/registry/example.com/koalas/default/", 1, encrypted);
    store("/registry/masterleases/", 1, encrypted);
    store("/registry/ranges/serviceips", 1, encrypted);
    etcd.values.set("/registry/health", encrypted);
    store("/registryofothers/volumeattributesclasses/", 1, encrypted);
    assert.deepEqual(await found(), []);
  });

  it("below another prefix => found there", async () => {
    store("/registry/volumeattributesclasses/", 1, encrypted);
    store("/tenant/a/volumeattributesclasses/", 1, encrypted);
    assert.deepEqual(await found("tenant/a"), ["/tenant/a/volumeattributesclasses/"]);
  });

  it("a request for each kind, not for each object", async () => {
    store("/registry/secrets/default/", 2_000, encrypted);
    store("/registry/services/specs/default/", 2_000, encrypted);
    let requests = 0;
    etcd.intercept = () => {
      requests += 1;
      return undefined;
    };
    await found();
    assert.equal(requests, 3);
  });
});
