/** What machines of a kOps cluster stand on here: moto with its KMS, a PKI, one etcd, and the programs that run on each of them. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Pool } from "undici";
import { startLoneEtcd } from "../../../../control-plane/lone-etcd";
import { createPki, pkiFiles } from "../../../../control-plane/pki/control-plane-pki";
import { stateLayout } from "../../../../control-plane/state-layout";
import { pluginNodeOptions } from "../../../../core/plugin-node-options";
import { bundleEntry } from "../../../../plugin-server/image/bundle";
import { bundlePlugin } from "../../../../plugin-server/image/bundle-plugin";
import { findTool } from "../../../../tools/find-tool";
import { endWithTests } from "../../../support/end-with-tests";
import { type MotoCloud, startMotoCloud } from "../moto-cloud";
import { type MachineKind, pluginProgram } from "./kops-machine";
import { type RecordedKms, startRecordedKms } from "./recorded-kms";

export interface MachineGround {
  readonly directory: string;
  readonly cloud: MotoCloud;
  readonly kms: RecordedKms;
  readonly kind: MachineKind;
  /** How many stored Secrets begin with which prefix, by etcd's own bytes: `k8s:enc:kms:v2:NAME:`, or `plaintext`. */
  storedProviders(): Promise<Readonly<Record<string, number>>>;
  /** The stored bytes of one Secret, as `etcdctl get` prints them. */
  storedValue(name: string): Promise<string>;
  /** Ends what was started, the latest first. */
  readonly closing: (() => Promise<unknown>)[];
  close(): Promise<void>;
}

const project = join(__dirname, "..", "..", "..", "..");

/** `name` is the cluster's. */
export async function startMachineGround(python: string, name: string): Promise<MachineGround> {
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-machines-"));
  const closing: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const end of closing.splice(0).reverse()) await end();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    mkdirSync(join(directory, "home"));
    const cloud = await startMotoCloud(python, join(directory, "home"));
    closing.push(() => cloud.stop());
    const kms = await startRecordedKms(cloud.url);
    closing.push(() => kms.stop());

    const serverName = `api.internal.${name}`;
    const layout = stateLayout(directory);
    await createPki(layout, [serverName]);
    const pki = pkiFiles(layout);
    const etcdDirectory = join(directory, "etcd");
    mkdirSync(etcdDirectory);
    const etcd = await startLoneEtcd({ directory: etcdDirectory, tls: pki.etcdServer, client: pki.etcdAdministrator });
    const left = endWithTests(etcd.pid);
    closing.push(() => etcd.stop().then(left));
    const read = (file: string) => readFileSync(file, "utf8");
    const { administrator } = pki;
    const tls = {
      ca: read(administrator.caFile),
      cert: read(administrator.certFile),
      key: read(administrator.keyFile),
      servername: serverName,
    };
    const kind: MachineKind = {
      apiServer: (await findTool("kube-apiserver")).path,
      etcdPort: Number(new URL(etcd.endpoint).port),
      files: pki.apiServer(serverName),
      tls,
      programOf: pluginProgram([process.execPath, ...pluginNodeOptions, await bundledPlugin(directory)]),
      pluginArguments: [`--kms-endpoint=${kms.url}`],
      pluginEnvironment: { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b", AWS_EC2_METADATA_DISABLED: "true" },
    };

    const etcdFiles = pki.etcdAdministrator;
    const store = new Pool(etcd.endpoint, {
      connect: { ca: read(etcdFiles.caFile), cert: read(etcdFiles.certFile), key: read(etcdFiles.keyFile) },
    });
    closing.push(() => store.destroy());
    const range = async (from: string, to?: string) => {
      const encode = (text: string) => Buffer.from(text).toString("base64");
      const body = { key: encode(from), ...(to !== undefined && { range_end: encode(to) }) };
      const answer = await store.request({ method: "POST", path: "/v3/kv/range", body: JSON.stringify(body) });
      const { kvs = [] } = (await answer.body.json()) as { kvs?: { value: string }[] };
      return kvs.map(({ value }) => Buffer.from(value, "base64").toString("latin1"));
    };
    return {
      directory,
      cloud,
      kms,
      kind,
      async storedProviders() {
        const counts: Record<string, number> = {};
        for (const value of await range("/registry/secrets/", "/registry/secrets0")) {
          const prefix = /^k8s:enc:[a-z]+:v\d:[^:]+:/.exec(value)?.[0] ?? "plaintext";
          counts[prefix] = (counts[prefix] ?? 0) + 1;
        }
        return counts;
      },
      storedValue: async (secret) => (await range(`/registry/secrets/default/${secret}`))[0] ?? "",
      closing,
      close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** The plugin as its image has it. */
async function bundledPlugin(directory: string): Promise<string> {
  const version = { version: "v9.8.7", commit: "abc", date: "" };
  const { files } = await bundlePlugin(project, version, "/usr/bin/env node");
  const folder = join(directory, "plugin");
  for (const { path, content } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return join(folder, bundleEntry);
}
