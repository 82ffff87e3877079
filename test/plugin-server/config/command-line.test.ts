import assert from "node:assert/strict";
import { join } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import type { AwsPluginConfig } from "../../../plugin-server/config/aws";
import type { AzurePluginConfig } from "../../../plugin-server/config/azure";
import { readCommandLine } from "../../../plugin-server/config/command-line";
import type { LocalPluginConfig } from "../../../plugin-server/config/local";
import type { PluginConfig } from "../../../plugin-server/config/plugin-config";

function run(...args: readonly string[]): { readonly config: PluginConfig; readonly warnings: readonly string[] } {
  const commandLine = readCommandLine(args);
  assert.ok(commandLine.kind === "run");
  return commandLine;
}
const azure = (...args: readonly string[]) => run("azure", ...args).config as AzurePluginConfig;
const aws = (...args: readonly string[]) => run("aws", ...args).config as AwsPluginConfig;
const local = (...args: readonly string[]) => run("local", ...args).config as LocalPluginConfig;

function problems(...args: readonly string[]): readonly string[] {
  try {
    readCommandLine(args);
  } catch (error) {
    assert.ok(
      error instanceof KmsEtcdError && error.code === "invalid-input" && error.remedy !== undefined,
      String(error),
    );
    const [first, ...rest] = error.message.split("\n  - ");
    assert.equal(
      first,
      rest.length === 1 ? "the command line has a problem:" : `the command line has ${rest.length} problems:`,
    );
    return rest;
  }
  return [];
}

const vault = ["--keyvault-name=myvault", "--key-name=k8s", "--key-version=0123abcd"] as const;
const arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";
const arn2 = "arn:aws:kms:us-east-1:123456789012:key/66666666-2222-3333-4444-555555555555";

describe("the command line", () => {
  it("tells the provider by its flags when it is not named, as the upstream plugins' manifests do", () => {
    assert.equal(run(...vault).config.kind, "azure");
    assert.equal(run(`--key=${arn}`).config.kind, "aws");
    assert.equal(run("--key", arn).config.kind, "aws");
    assert.equal(run("-key-file=/k", "-listen-addr=unix:///s").config.kind, "local");
  });

  it("refuses a limit of calls that the API server does not wait for", () => {
    const limit = (value: string) =>
      problems("local", "--key-file=/k", "--listen-addr=unix:///s", `--call-timeout=${value}`);
    assert.deepEqual(limit("10s"), ["--call-timeout is 10000 ms: give less than the API server's 3s"]);
    assert.equal(limit("3s").length, 1);
    assert.deepEqual(limit("2.9s"), []);
  });

  it("refuses Go's abstract sockets, which would otherwise be files in the working directory", () => {
    const abstract = /: abstract sockets are not served, give the path of a file$/;
    assert.match(problems(...vault, "--listen-addr=unix://@kms").join(), abstract);
    assert.match(problems("local", "--key-file=/k", "--listen-addr=unix://@kms").join(), abstract);
    assert.match(problems(`--key=${arn}`, "--listen=@kms").join(), abstract);
  });

  it("says that it can't tell when the flags are those of none or of two", () => {
    const unclear = ["the flags do not tell whether the key is in Azure Key Vault, in AWS KMS or in a local file"];
    assert.deepEqual(problems("--listen-addr=unix:///s"), unclear);
    assert.deepEqual(problems(...vault, `--key=${arn}`), unclear);
    assert.deepEqual(problems("gcp"), ['"gcp" is not one of azure, aws, local']);
    assert.deepEqual(problems("constructor"), ['"constructor" is not one of azure, aws, local']);
  });

  it("asks for the version or for help wherever these stand", () => {
    for (const args of [["--version"], ["azure", "-version"], ["aws", "--key=x", "--version"]]) {
      assert.equal(readCommandLine(args).kind, "version");
    }
    for (const args of [[], ["-h"], ["--help"], ["help"], ["local", "--help"], ["aws", "-h"]]) {
      const help = readCommandLine(args);
      assert.ok(help.kind === "help" && help.text.includes("kms-etcd-plugin"));
    }
  });

  describe("for Azure", () => {
    it("has upstream's defaults", () => {
      assert.deepEqual(azure(...vault), {
        kind: "azure",
        operation: {
          sockets: ["/opt/azurekms.socket"],
          health: { host: "", port: 8787, explicit: false },
          healthzPath: "/healthz",
          livezPath: "/livez",
          healthzTimeoutMs: 20_000,
          metrics: { host: "", port: 8095, explicit: false },
          log: { format: "text", level: "warn" },
          callTimeoutMs: 2_500,
          drainTimeoutMs: 5_000,
          probeIntervalMs: 30_000,
        },
        vaultName: "myvault",
        keyName: "k8s",
        keyVersion: "0123abcd",
        managedHsm: false,
        credentialsFile: "/etc/kubernetes/azure.json",
        proxy: undefined,
      } satisfies AzurePluginConfig);
    });

    it("takes the flags of seed 000's second instance as they are written there", () => {
      const config = azure(
        "--listen-addr=unix:///opt/azurekms2.socket",
        ...vault,
        "--log-format-json=false",
        "--healthz-port=8788",
        "--healthz-path=/healthz",
        "--healthz-timeout=20s",
        "--managed-hsm=false",
        "-v=5",
      );
      assert.deepEqual(config.operation.sockets, ["/opt/azurekms2.socket"]);
      assert.deepEqual(config.operation.health, { host: "", port: 8788, explicit: true });
      assert.deepEqual(config.operation.metrics, { host: "", port: 8095, explicit: false });
      assert.deepEqual(config.operation.log, { format: "text", level: "debug" });
    });

    it("takes every other flag of upstream", () => {
      const { config, warnings } = run(
        ...vault,
        "--managed-hsm",
        "--config-file-path=/etc/azure.json",
        "--configFilePath=/old",
        "--log-format-json",
        "-v=255",
        "--metrics-backend=Prometheus",
        "--metrics-addr=8096",
        "--proxy-mode=true",
        "--proxy-address=10.0.0.1",
        "--proxy-port=7789",
      );
      assert.ok(config.kind === "azure");
      assert.deepEqual(
        [config.managedHsm, config.credentialsFile, config.proxy],
        [true, "/etc/azure.json", { address: "10.0.0.1", port: 7789 }],
      );
      assert.deepEqual(config.operation.metrics, { host: "", port: 8096, explicit: true });
      assert.deepEqual(config.operation.log, { format: "json", level: "trace" });
      assert.equal(warnings.length, 1);
    });

    it("trims quotes and blanks of names, as upstream does", () => {
      const { vaultName, keyName } = azure('--keyvault-name= "myvault" ', '--key-name="k8s"', "--key-version=v");
      assert.deepEqual([vaultName, keyName], ["myvault", "k8s"]);
    });

    it("turns servers off with none or 0, and binds them where it is told", () => {
      const { operation } = azure(...vault, "--healthz-port=0", "--metrics-addr=none");
      assert.deepEqual([operation.health, operation.metrics], [undefined, "none"]);
      const bound = azure(...vault, "--healthz-port=127.0.0.1:1", "--metrics-addr=[::1]:2").operation;
      assert.deepEqual(
        [bound.health, bound.metrics],
        [
          { host: "127.0.0.1", port: 1, explicit: true },
          { host: "::1", port: 2, explicit: true },
        ],
      );
    });

    it("shows all problems at once", () => {
      assert.deepEqual(
        problems(
          "azure",
          "--keyvault-name=a_b",
          "--listen-addr=/opt/s",
          "--healthz-port=x",
          "--metrics-backend=statsd",
          "--proxy-mode",
          "--log-format-json=false",
          "--log-format=json",
          "--healthz-timeout=0",
          "--healthz-path=/livez",
          "--key=a",
          "-v=256",
        ),
        [
          '--key is a flag of "aws"',
          '--keyvault-name is "a_b": a vault\'s name has 3 to 24 letters, digits and hyphens',
          '--metrics-backend is "statsd": give prometheus',
          '--listen-addr is "/opt/s": give the path of a socket, for example unix:///path/of/the.socket',
          "--log-format and --log-format-json contradict each other",
          '--healthz-port is "x": give a port, host:port, or "none"',
          '--healthz-timeout is "0": give a duration above 0',
          '--v is "256": give a whole number from 0 to 255',
          "--key-name is missing",
          "--key-version is missing",
          "--proxy-mode needs --proxy-address",
        ],
      );
      assert.deepEqual(problems("azure", ...vault, "--proxy-address=a"), [
        "--proxy-address has no effect without --proxy-mode",
      ]);
      assert.deepEqual(problems("azure", ...vault, "--proxy-address=a", "--proxy-mode=false"), []);
      assert.deepEqual(problems("azure", ...vault, "--healthz-path=/metrics"), [
        "--healthz-path, --livez-path and /metrics must differ: they are /metrics, /livez, /metrics",
      ]);
      assert.match(
        problems("azure", ...vault, `--listen-addr=unix:///${"x".repeat(120)}`)[0] ?? "",
        /is 121 bytes long: a socket's path has at most 107$/,
      );
    });
  });

  describe("for AWS", () => {
    it("has upstream's defaults", () => {
      assert.deepEqual(aws(`--key=${arn}`), {
        kind: "aws",
        operation: {
          sockets: ["/var/run/kmsplugin/socket.sock"],
          health: { host: "", port: 8080, explicit: false },
          healthzPath: "/healthz",
          livezPath: "/livez",
          healthzTimeoutMs: 5_000,
          metrics: "beside-health",
          log: { format: "json", level: "info" },
          callTimeoutMs: 2_500,
          drainTimeoutMs: 5_000,
          probeIntervalMs: 30_000,
        },
        keys: [{ keyId: arn, encryptionContext: {} }],
        region: undefined,
        kmsEndpoint: undefined,
        retryBudget: { kind: "sdk-default" },
        sourceArn: undefined,
      } satisfies AwsPluginConfig);
    });

    it("takes several keys, each with its socket and its encryption context, in lists or repeated", () => {
      for (const args of [
        [`--key=${arn},${arn2}`, "--listen=/a.sock,/b.sock"],
        ["--key", arn, "--key", arn2, "--listen", "/a.sock", "--listen=unix:///b.sock"],
      ]) {
        const { keys, operation } = aws(...args, "--encryption-context=", "--encryption-context=[cluster=demo,ns=a=b]");
        assert.deepEqual(keys, [
          { keyId: arn, encryptionContext: {} },
          { keyId: arn2, encryptionContext: { cluster: "demo", ns: "a=b" } },
        ]);
        assert.deepEqual(operation.sockets, ["/a.sock", "/b.sock"]);
      }
    });

    it("takes every other flag of upstream", () => {
      const config = aws(
        `--key=${arn}`,
        "--health-port=127.0.0.1:8083",
        "--healthz-path=/h",
        "--livez-path=/l",
        "--health-kms-version=v2",
        "--region=eu-central-1",
        "--kms-endpoint=http://127.0.0.1:5555",
        `--source-arn=arn:aws:eks:us-east-1:123456789012:cluster/demo`,
        "--debug",
        "--qps-limit=5",
        "--burst-limit=10",
      );
      assert.deepEqual(config.operation.health, { host: "127.0.0.1", port: 8083, explicit: true });
      assert.deepEqual(
        [config.operation.healthzPath, config.operation.livezPath, config.operation.log.level],
        ["/h", "/l", "debug"],
      );
      assert.deepEqual([config.region, config.kmsEndpoint], ["eu-central-1", "http://127.0.0.1:5555"]);
      assert.deepEqual(config.retryBudget, { kind: "unit-cost-tokens", capacity: 15 });
      assert.deepEqual(
        aws(`--key=${arn}`, "--qps-limit=5", "--burst-limit=10", "--retry-token-capacity=7").retryBudget,
        { kind: "tokens", capacity: 7 },
      );
    });

    it("takes a socket that is not absolute from the working directory, as upstream does", () => {
      const { config } = run("aws", `--key=${arn}`, "--listen=kms.sock");
      assert.deepEqual(config.operation.sockets, [join(process.cwd(), "kms.sock")]);
    });

    it("warns of an alias, whose key can change behind an unchanged key_id", () => {
      assert.match(run("--key=alias/etcd").warnings[0] ?? "", /^--key alias\/etcd is an alias/);
      assert.deepEqual(run(`--key=${arn}`).warnings, []);
    });

    it("shows all problems at once", () => {
      assert.deepEqual(problems("aws"), ["--key is missing"]);
      assert.deepEqual(problems("aws", "--key=", "--key-name=x"), [
        '--key-name is a flag of "azure"',
        "--key names an empty key",
      ]);
      assert.deepEqual(
        problems(
          "aws",
          `--key=${arn},${arn2}`,
          "--listen=/a,/a,",
          "--encryption-context=x",
          "--encryption-context=a=1",
          "--encryption-context=b=2",
          "--health-kms-version=v3",
          "--source-arn=me",
          "--kms-endpoint=here",
          "--qps-limit=1",
          "--health-port=:99999",
        ),
        [
          '--encryption-context is "x": write name=value,name=value',
          "--encryption-context stands 3 times for 2 of --key: give at most one for each key",
          '--health-kms-version is "v3": give v1 or v2',
          '--source-arn is "me": give an ARN with an account number in it',
          '--kms-endpoint is "here": give an http or https URL',
          '--listen is "": give the path of a socket, for example /path/of/the.sock',
          "there are 2 of --key and 3 of --listen: give one socket for each key",
          "--listen names a socket twice",
          '--health-port is ":99999": give a port, host:port, or "none"',
          "--qps-limit needs --burst-limit above 0",
        ],
      );
      assert.deepEqual(problems("aws", `--key=${arn}`, "--burst-limit=1"), [
        "--burst-limit has no effect without --qps-limit",
      ]);
    });
  });

  describe("for a local key", () => {
    it("listens on nothing but its socket unless it is told", () => {
      const { operation, keyFile } = local("--key-file=/k", "--listen-addr=unix:///s.sock");
      assert.deepEqual(
        [keyFile, operation.sockets, operation.health, operation.metrics],
        ["/k", ["/s.sock"], undefined, "beside-health"],
      );
    });

    it("serves health on the loopback interface", () => {
      const { operation } = local(
        "--key-file",
        "/k",
        "--listen-addr",
        "unix:///s.sock",
        "--healthz-port",
        "18787",
        "--metrics-addr=18788",
      );
      assert.deepEqual(operation.health, { host: "127.0.0.1", port: 18_787, explicit: true });
      assert.deepEqual(operation.metrics, { host: "127.0.0.1", port: 18_788, explicit: true });
    });

    it("shows all problems at once", () => {
      assert.deepEqual(problems("local"), ["--key-file is missing", "--listen-addr is missing"]);
    });
  });
});
