/**
 * The block `selfManaged`: everything that is wrong with it, by path, and the cluster that it means. For the Pulumi provider and
 * the command line alike. A value that Pulumi does not know yet is a symbol here, and is taken to be right.
 */
import { isAbsolute } from "node:path";
import { pinnedReferenceProblem } from "./image-reference";
import { type InputViolation, unknownInputViolations } from "./input-rules";
import { below, booleanViolations, type InputBlock, isAbsent, isBlock, isUnknown, withoutAbsent } from "./input-values";
import { type PluginFlavour, pluginFlavours } from "./plugin-flavour";
import {
  adminConfFile,
  kubeadmLayout,
  type SelfManagedCluster,
  type SelfManagedHost,
  type SelfManagedLayout,
  type SelfManagedSsh,
} from "./self-managed-cluster";

const names = {
  block: ["hosts", "ssh", "kubernetes", "layout", "plugin"],
  host: ["name", "address", "port", "layout"],
  ssh: ["user", "privateKey", "passphrase", "agentSocket", "knownHosts", "jumpHost", "sudo", "sudoSftpServer"],
  jumpHost: ["address", "port", "user"],
  kubernetes: ["kubeconfig", "adminConfFile", "tlsServerName"],
  layout: Object.keys(kubeadmLayout),
  plugin: ["image", "flavour", "command", "arguments", "environment", "files", "azureConfigFile", "awsEndpoint"],
};

/** Paths begin with `path`, the name of the block. */
export function selfManagedViolations(value: unknown, path: string): readonly InputViolation[] {
  if (!isBlock(value)) return [{ path, reason: "is not an object" }];
  return [
    ...below(path, unknownInputViolations(value, names.block)),
    ...hostsViolations(value["hosts"], `${path}.hosts`),
    ...sshViolations(value["ssh"], `${path}.ssh`),
    ...optional(value["kubernetes"], `${path}.kubernetes`, kubernetesViolations),
    ...optional(value["layout"], `${path}.layout`, layoutViolations),
    ...pluginViolations(value["plugin"], `${path}.plugin`),
  ];
}

/** What a block without violations, in which everything is known, means. */
export function selfManagedCluster(value: unknown): SelfManagedCluster {
  const block = value as InputBlock;
  const layout = (block["layout"] ?? {}) as Partial<SelfManagedLayout>;
  const hosts = block["hosts"] as readonly (Pick<SelfManagedHost, "name" | "address"> & {
    readonly port?: number;
    readonly layout?: Partial<SelfManagedLayout>;
  })[];
  const ssh = block["ssh"] as Omit<SelfManagedSsh, "sudo" | "jumpHost"> & {
    readonly sudo?: boolean;
    readonly jumpHost?: { readonly address: string; readonly port?: number; readonly user?: string };
  };
  const { jumpHost, ...directSsh } = ssh;
  return {
    hosts: hosts.map((host) => ({
      name: host.name,
      address: host.address,
      port: host.port ?? defaultPort,
      layout: { ...kubeadmLayout, ...withoutAbsent(layout), ...withoutAbsent(host.layout ?? {}) },
    })),
    ssh: {
      ...withoutAbsent(directSsh),
      user: ssh.user,
      knownHosts: ssh.knownHosts,
      sudo: ssh.sudo ?? false,
      ...(jumpHost && {
        jumpHost: { address: jumpHost.address, port: jumpHost.port ?? defaultPort, user: jumpHost.user ?? ssh.user },
      }),
    },
    kubernetes: { adminConfFile, ...withoutAbsent((block["kubernetes"] ?? {}) as InputBlock) },
    plugin: withoutAbsent(block["plugin"] as SelfManagedCluster["plugin"]),
  };
}

const defaultPort = 22;

function hostsViolations(hosts: unknown, path: string): readonly InputViolation[] {
  if (isUnknown(hosts)) return [];
  if (!Array.isArray(hosts) || hosts.length === 0) {
    return [{ path, reason: "is missing or empty; list every control-plane host, { name, address }" }];
  }
  const entries: readonly unknown[] = hosts;
  return entries.flatMap((host, index) => {
    const at = `${path}[${index}]`;
    if (isUnknown(host)) return [];
    if (!isBlock(host)) return [{ path: at, reason: "is not an object; write { name, address }" }];
    const repeated = (name: string) =>
      entries.some(
        (other, before) => before < index && isBlock(other) && other[name] === host[name] && !isUnknown(host[name]),
      );
    return [
      ...below(at, unknownInputViolations(host, names.host)),
      ...textViolations(host, "name", at, "what reports call the host"),
      ...textViolations(host, "address", at, "the host's name or IP address"),
      ...(repeated("name") ? [{ path: `${at}.name`, reason: "repeats another host's name; give each its own" }] : []),
      ...(repeated("address") &&
      entries.some((other, before) => before < index && isBlock(other) && other["port"] === host["port"])
        ? [{ path: `${at}.address`, reason: "repeats another host's address; list each host once" }]
        : []),
      ...portViolations(host["port"], `${at}.port`),
      ...optional(host["layout"], `${at}.layout`, layoutViolations),
    ];
  });
}

function sshViolations(ssh: unknown, path: string): readonly InputViolation[] {
  if (isUnknown(ssh)) return [];
  if (!isBlock(ssh))
    return [{ path, reason: "is missing; say how the hosts are reached: { user, privateKey, knownHosts }" }];
  const noKey = isAbsent(ssh["privateKey"]) && isAbsent(ssh["agentSocket"]);
  return [
    ...below(path, unknownInputViolations(ssh, names.ssh)),
    ...textViolations(ssh, "user", path, "the user that logs in on the hosts"),
    ...textViolations(
      ssh,
      "knownHosts",
      path,
      "lines of known_hosts for every host: nobody's key is trusted at first sight",
    ),
    ...(noKey
      ? [{ path: `${path}.privateKey`, reason: "is missing; give a private key, or an agent's socket in agentSocket" }]
      : []),
    ...["privateKey", "passphrase", "agentSocket", "sudoSftpServer"].flatMap((name) => optionalText(ssh, name, path)),
    ...booleanViolations(ssh["sudo"], `${path}.sudo`),
    ...pathViolations(ssh["sudoSftpServer"], `${path}.sudoSftpServer`),
    ...optional(ssh["jumpHost"], `${path}.jumpHost`, (jump, at) => [
      ...below(at, unknownInputViolations(jump, names.jumpHost)),
      ...textViolations(jump, "address", at, "the jump host's name or IP address"),
      ...optionalText(jump, "user", at),
      ...portViolations(jump["port"], `${at}.port`),
    ]),
  ];
}

function kubernetesViolations(kubernetes: InputBlock, path: string): readonly InputViolation[] {
  return [
    ...below(path, unknownInputViolations(kubernetes, names.kubernetes)),
    ...["kubeconfig", "tlsServerName"].flatMap((name) => optionalText(kubernetes, name, path)),
    ...pathViolations(kubernetes["adminConfFile"], `${path}.adminConfFile`),
  ];
}

/** Of the block `layout`, which stands alone too. */
export function layoutViolations(layout: InputBlock, path: string): readonly InputViolation[] {
  const { apiServerManifest: file, manifestDirectory, encryptionConfigFile: config } = layout;
  const folder = typeof manifestDirectory === "string" ? manifestDirectory : kubeadmLayout.manifestDirectory;
  return [
    ...below(path, unknownInputViolations(layout, names.layout)),
    ...["manifestDirectory", "encryptionConfigFile", "pluginSocketDirectory", "backupDirectory"].flatMap((name) =>
      pathViolations(layout[name], `${path}.${name}`),
    ),
    ...optionalText(layout, "apiServerManifest", path),
    ...(typeof file === "string" && file.includes("/")
      ? [{ path: `${path}.apiServerManifest`, reason: "is a path; write the file's name in manifestDirectory" }]
      : []),
    ...(typeof config === "string" && config.startsWith(`${folder}/`)
      ? [
          {
            path: `${path}.encryptionConfigFile`,
            reason: `lies in ${folder}, whose files a kubelet takes for pods; name a file in a directory of its own`,
          },
        ]
      : []),
  ];
}

/** Of the block `plugin`, which stands alone too. Paths begin with `path`. */
export function pluginViolations(plugin: unknown, path: string): readonly InputViolation[] {
  if (isUnknown(plugin)) return [];
  if (!isBlock(plugin)) return [{ path, reason: "is missing; say which image the KMS plugin is: { image }" }];
  const { image, flavour, awsEndpoint } = plugin;
  const pinned = typeof image === "string" ? pinnedReferenceProblem(image) : undefined;
  const missing = textViolations(plugin, "image", path, "the plugin's image by digest, for example of a PluginImage");
  const known = isAbsent(flavour) || isUnknown(flavour) || pluginFlavours.includes(flavour as PluginFlavour);
  return [
    ...below(path, unknownInputViolations(plugin, names.plugin)),
    ...missing,
    ...(missing.length === 0 && pinned !== undefined ? [{ path: `${path}.image`, reason: pinned }] : []),
    ...(known
      ? []
      : [
          {
            path: `${path}.flavour`,
            reason: `is ${JSON.stringify(flavour)}; write one of ${pluginFlavours.join(", ")}`,
          },
        ]),
    ...["command", "arguments", "files"].flatMap((name) => textsViolations(plugin[name], `${path}.${name}`)),
    ...(Array.isArray(plugin["files"]) ? plugin["files"] : []).flatMap((file: unknown, index) =>
      pathViolations(file, `${path}.files[${index}]`),
    ),
    ...optional(plugin["environment"], `${path}.environment`, (environment, at) =>
      Object.keys(environment).flatMap((name) => optionalText(environment, name, at)),
    ),
    ...pathViolations(plugin["azureConfigFile"], `${path}.azureConfigFile`),
    ...(typeof awsEndpoint === "string" && !/^https?:\/\/[^/]/.test(awsEndpoint)
      ? [{ path: `${path}.awsEndpoint`, reason: `is "${awsEndpoint}"; write an http or https URL` }]
      : []),
  ];
}

function optional(
  value: unknown,
  path: string,
  violations: (block: InputBlock, path: string) => readonly InputViolation[],
): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  return isBlock(value) ? violations(value, path) : [{ path, reason: "is not an object" }];
}

function textViolations(block: InputBlock, name: string, path: string, what: string): readonly InputViolation[] {
  const value = block[name];
  if (isUnknown(value) || (typeof value === "string" && value.trim() !== "")) return [];
  return [{ path: `${path}.${name}`, reason: `is missing; give ${what}` }];
}

/** The value is not shown: it may be a secret. */
function optionalText(block: InputBlock, name: string, path: string): readonly InputViolation[] {
  const value = block[name];
  if (isAbsent(value) || isUnknown(value) || (typeof value === "string" && value !== "")) return [];
  return [{ path: `${path}.${name}`, reason: "is no text; write one, or leave it out" }];
}

function textsViolations(value: unknown, path: string): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  if (Array.isArray(value) && value.every((entry) => isUnknown(entry) || typeof entry === "string")) return [];
  return [{ path, reason: "is no list of texts" }];
}

function pathViolations(value: unknown, path: string): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  if (typeof value === "string" && isAbsolute(value) && !/[\s'"\\$`]/.test(value) && !value.endsWith("/")) return [];
  return [{ path, reason: "is not an absolute path without blanks, quotes and a slash at the end" }];
}

function portViolations(value: unknown, path: string): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535) return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write a port, 1 to 65535` }];
}
