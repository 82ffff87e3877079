import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { status } from "@grpc/grpc-js";
import type { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { PluginAttach } from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as messages from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { typeTokens } from "../../core/type-tokens";
import { writeProperties } from "../../provider/property-values";
import { startProvider } from "../../provider/provider";
import type { ProviderServer } from "../../provider/provider-server";
import type { RotationEngine } from "../../provider/rollout/rotation-engine";
import { connectUnary, type UnaryClient } from "../../provider/unary-call";

const good = {
  keyVersion: 1,
  keys: [{ version: 1, local: { file: "/keys/v1", keyId: "local-1" } }],
  local: { controlPlaneFile: "/state/control-plane.json" },
};

describe("provider server", () => {
  let server: ProviderServer;
  let client: UnaryClient;
  let aborted: Promise<void>;
  let entered: Promise<void>;

  beforeEach(async () => {
    let onAborted = () => {};
    let onEntered = () => {};
    aborted = new Promise((resolve) => (onAborted = resolve));
    entered = new Promise((resolve) => (onEntered = resolve));
    const engine: RotationEngine = {
      survey: async () => {
        throw new Error("the survey of this test fails");
      },
      run: (_platform, _goal, _onEvent, signal) =>
        new Promise((_resolve, reject) => {
          onEntered();
          signal.addEventListener("abort", () => {
            onAborted();
            reject(new Error("stopped"));
          });
        }),
    };
    server = await startProvider({ engine, identity: { version: "1.2.3", schema: async () => '{"name":"kms-etcd"}' } });
    client = connectUnary(`127.0.0.1:${server.port}`);
  });
  afterEach(async () => {
    client.close();
    await server.stop();
  });

  const service = ResourceProviderService;

  it("Handshake, Configure, GetPluginInfo, GetSchema, CheckConfig, DiffConfig, Attach => answered", async () => {
    const handshake = await client.call(service.handshake, new messages.ProviderHandshakeRequest());
    assert.equal(handshake.getAcceptSecrets() && handshake.getAcceptOutputs() && handshake.getAcceptResources(), true);
    assert.equal((await client.call(service.configure, new messages.ConfigureRequest())).getSupportspreview(), true);
    const info: PluginInfo = await client.call(service.getPluginInfo, new Empty());
    assert.equal(info.getVersion(), "1.2.3");
    assert.equal(
      (await client.call(service.getSchema, new messages.GetSchemaRequest())).getSchema(),
      '{"name":"kms-etcd"}',
    );
    const config = new messages.CheckRequest();
    config.setNews(writeProperties({ a: 1 }));
    assert.deepEqual((await client.call(service.checkConfig, config)).getInputs()?.toJavaScript(), { a: 1 });
    await client.call(service.diffConfig, new messages.DiffRequest());
    await client.call(service.attach, new PluginAttach());
  });

  it("a method that nobody serves => UNIMPLEMENTED", async () => {
    await assert.rejects(client.call(service.invoke, new messages.InvokeRequest()), { code: status.UNIMPLEMENTED });
  });

  it("a schema version or a resource type that nobody knows => an error that says what there is", async () => {
    const schema = new messages.GetSchemaRequest();
    schema.setVersion(9);
    await assert.rejects(client.call(service.getSchema, schema), { code: status.FAILED_PRECONDITION });
    const check = new messages.CheckRequest();
    check.setType("kms-etcd:index:Nothing");
    await assert.rejects(client.call(service.check, check), {
      details: /no resource type kms-etcd:index:Nothing; this provider has .*kms-etcd:index:EncryptionRollout/,
    });
  });

  function createRequest(): messages.CreateRequest {
    const request = new messages.CreateRequest();
    request.setType(typeTokens.encryptionRollout);
    request.setName("etcd");
    request.setProperties(writeProperties(good));
    return request;
  }

  it("the engine dies in the middle of an update => the run is stopped", async () => {
    const sockets: Socket[] = [];
    const between = createServer((socket) => {
      const onward = connect(server.port, "127.0.0.1");
      sockets.push(socket, onward);
      socket.pipe(onward).pipe(socket);
    });
    await new Promise<void>((resolve) => between.listen(0, "127.0.0.1", resolve));
    const dying = connectUnary(`127.0.0.1:${(between.address() as AddressInfo).port}`);
    const call = assert.rejects(dying.call(service.create, createRequest()));
    await entered;
    between.close();
    for (const socket of sockets) socket.destroy();
    await aborted;
    dying.close();
    await call;
  });

  it("stop in the middle of an update => the run is stopped, and its answer still goes out", async () => {
    const call = client.call(service.create, createRequest());
    const answered = assert.rejects(call, { code: status.UNKNOWN, details: /stopped; run pulumi up again to go on/ });
    await entered;
    await server.stop();
    await answered;
  });
});
