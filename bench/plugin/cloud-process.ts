/**
 * The fake Key Vault or AWS KMS of the tests in a process of its own, so that its work is not counted as the plugin's. Says
 * over IPC how the plugin finds it, and on request how many connections were opened. argv: azure|aws, milliseconds away.
 */
import { rmSync } from "node:fs";
import { defaultAccessKey, startKmsFake } from "../../test/fakes/aws/kms-fake";
import { startAzureHost } from "../../test/plugin-server/providers/azure-key-vault/azure-host";

export interface CloudReady {
  readonly kind: "ready";
  /** Of the plugin, without the socket. */
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Of the upstream plugin. */
  readonly peerFlags: readonly string[];
  readonly peerEnvironment: Readonly<Record<string, string>>;
}

export interface CloudConnections {
  readonly kind: "connections";
  readonly opened: number;
}

async function azure(awayMs: number): Promise<{ readonly ready: CloudReady; readonly connections: () => number }> {
  const host = await startAzureHost();
  process.on("exit", () => rmSync(host.directory, { recursive: true, force: true }));
  // A service principal: the upstream plugin asks for a managed identity at one fixed address.
  const application = host.azure.entra.addApplication({ tenantId: host.vault.tenantId, secret: "bench" });
  host.vault.grant(application.objectId, "encrypt", "decrypt");
  await host.writeAzureJson({
    tenantId: application.tenantId,
    aadClientId: application.clientId,
    aadClientSecret: application.secret,
  });
  // Who asks for RSA measures RSA: equal questions get equal answers.
  host.vault.cacheAnswers = true;
  if (awayMs > 0) {
    for (const place of ["encrypt", "decrypt"] as const)
      host.azure.faults.order(place, { kind: "slow", ms: awayMs }, Number.POSITIVE_INFINITY);
  }
  const environment = await host.azure.processEnvironment(host.directory);
  const { NODE_EXTRA_CA_CERTS: authority = "", ...proxy } = environment;
  const flags = [
    "--keyvault-name=myvault",
    "--key-name=mykey",
    `--key-version=${host.key.version}`,
    `--config-file-path=${host.azureJsonFile}`,
  ];
  return {
    ready: {
      kind: "ready",
      flags: ["azure", ...flags, "--metrics-addr=none"],
      environment,
      peerFlags: flags,
      peerEnvironment: { ...proxy, SSL_CERT_FILE: authority },
    },
    connections: host.azure.connections,
  };
}

async function aws(awayMs: number): Promise<{ readonly ready: CloudReady; readonly connections: () => number }> {
  const fake = await startKmsFake();
  const key = fake.keys.add();
  if (awayMs > 0) fake.order({ fault: { kind: "slow", milliseconds: awayMs }, times: Number.POSITIVE_INFINITY });
  // A day's worth of remembered requests is for assertions, not for a bench.
  setInterval(() => (fake.requests as unknown[]).splice(0), 100).unref();
  const flags = [`--key=${key.arn}`, "--region=us-east-1", `--kms-endpoint=${fake.url}`];
  const environment = {
    AWS_ACCESS_KEY_ID: defaultAccessKey.accessKeyId,
    AWS_SECRET_ACCESS_KEY: defaultAccessKey.secretAccessKey,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/nonexistent",
    AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
  };
  return {
    ready: {
      kind: "ready",
      flags: ["aws", ...flags],
      environment,
      peerFlags: flags,
      peerEnvironment: environment,
    },
    connections: fake.connections,
  };
}

async function main(cloud: string | undefined, away: string | undefined): Promise<void> {
  const { ready, connections } = await (cloud === "azure" ? azure : aws)(Number(away));
  process.on("message", () =>
    process.send?.({ kind: "connections", opened: connections() } satisfies CloudConnections),
  );
  process.on("SIGTERM", () => process.exit(0));
  // The bench has gone: so does the cloud.
  process.on("disconnect", () => process.exit(0));
  process.send?.(ready);
}

void main(process.argv[2], process.argv[3]);
