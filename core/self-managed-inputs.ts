/**
 * The block `selfManaged`: everything that is wrong with it, by path, and the cluster that it means. For the Pulumi provider and
 * the command line alike. A value that Pulumi does not know yet is a symbol here, and is taken to be right.
 */
import { isAbsolute } from "node:path";
import { pinnedReferenceProblem } from "./image-reference";
import { type InputViolation, unknownInputViolations } from "./input-rules";
import {
  below,
  booleanViolations,
  type InputBlock,
  isAbsent,
  isBlock,
  isUnknown,
  optionalBlock,
  optionalTextViolations,
  textsViolations,
  textViolations,
  withoutAbsent,
} from "./input-values";
import { type PluginFlavour, pluginFlavours } from "./plugin-flavour";
import {
  adminConfFile,
  kubeadmLayout,
  type SelfManagedCluster,
  type SelfManagedHost,
  type SelfManagedLayout,
  type SelfManagedSsh,
} from "./self-managed-cluster";

/** Nothing that a shell, systemctl or sudoers takes for more than a name. */
export const serviceName = /^[A-Za-z0-9][\w.@:-]{0,200}\.service$/;

const names = {
  block: ["hosts", "ssh", "kubernetes", "layout", "plugin"],
  host: ["name", "address", "port", "layout"],
  ssh: ["user", "privateKey", "passphrase", "agentSocket", "knownHosts", "jumpHost", "sudo", "sudoSftpServer"],
  jumpHost: ["address", "port", "user"],
  kubernetes: ["kubeconfig", "adminConfFile", "tlsServerName"],
  layout: ["apiServerUnit", ...Object.keys(kubeadmLayout)],
  plugin: [
    "image",
    "program",
    "flavour",
    "command",
    "arguments",
    "environment",
    "files",
    "azureConfigFile",
    "awsEndpoint",
  ],
};

/** Paths begin with `path`, the name of the block. */
export function selfManagedViolations(value: unknown, path: string): readonly InputViolation[] {
  if (!isBlock(value)) return [{ path, reason: "is not an object" }];
  return [
    ...below(path, unknownInputViolations(value, names.block)),
    ...hostsViolations(value["hosts"], `${path}.hosts`),
    ...sshViolations(value["ssh"], `${path}.ssh`),
    ...optionalBlock(value["kubernetes"], `${path}.kubernetes`, kubernetesViolations),
    ...optionalBlock(value["layout"], `${path}.layout`, layoutViolations),
    ...pluginViolations(value["plugin"], `${path}.plugin`, ways(value)),
  ];
}

/** How the hosts run the plugin. One whose layout is not known yet may do it in either way. */
interface PluginWays {
  readonly asPods: boolean;
  readonly asUnits: boolean;
  readonly isSure: boolean;
}

function ways({ hosts, layout }: InputBlock): PluginWays {
  const listed: readonly unknown[] = Array.isArray(hosts) ? hosts : [];
  const blocks = listed.map((host) => ({
    ...(isBlock(layout) ? layout : {}),
    ...(isBlock(host) && isBlock(host["layout"]) ? withoutAbsent(host["layout"]) : {}),
  })) as readonly InputBlock[];
  const unknown = [hosts, layout, ...listed, ...listed.map((host) => (isBlock(host) ? host["layout"] : undefined))];
  const units = blocks.filter(({ apiServerUnit }) => !isAbsent(apiServerUnit));
  return {
    asPods: units.length < blocks.length,
    asUnits: units.length > 0,
    isSure: !unknown.some(isUnknown) && blocks.length > 0,
  };
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
      ...optionalBlock(host["layout"], `${at}.layout`, layoutViolations),
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
    ...["privateKey", "passphrase", "agentSocket", "sudoSftpServer"].flatMap((name) =>
      optionalTextViolations(ssh, name, path),
    ),
    ...booleanViolations(ssh["sudo"], `${path}.sudo`),
    ...pathViolations(ssh["sudoSftpServer"], `${path}.sudoSftpServer`),
    ...optionalBlock(ssh["jumpHost"], `${path}.jumpHost`, (jump, at) => [
      ...below(at, unknownInputViolations(jump, names.jumpHost)),
      ...textViolations(jump, "address", at, "the jump host's name or IP address"),
      ...optionalTextViolations(jump, "user", at),
      ...portViolations(jump["port"], `${at}.port`),
    ]),
  ];
}

/** The command that a unit runs; systemd wants an absolute path. */
function programViolations(program: unknown, path: string, { asUnits, isSure }: PluginWays): readonly InputViolation[] {
  if (isUnknown(program)) return [];
  if (isAbsent(program)) {
    return asUnits && isSure
      ? [{ path, reason: 'is missing; say what runs the plugin on hosts with an apiServerUnit: ["/usr/bin/...", ...]' }]
      : [];
  }
  if (!asUnits && isSure) return [{ path, reason: "is for hosts with an apiServerUnit; leave it out" }];
  const first: unknown = Array.isArray(program) ? program[0] : undefined;
  return [
    ...textsViolations(program, path),
    ...(isUnknown(first) || (typeof first === "string" && isAbsolute(first))
      ? []
      : [{ path: `${path}[0]`, reason: "is no absolute path of a program" }]),
  ];
}

function kubernetesViolations(kubernetes: InputBlock, path: string): readonly InputViolation[] {
  return [
    ...below(path, unknownInputViolations(kubernetes, names.kubernetes)),
    ...["kubeconfig", "tlsServerName"].flatMap((name) => optionalTextViolations(kubernetes, name, path)),
    ...pathViolations(kubernetes["adminConfFile"], `${path}.adminConfFile`),
  ];
}

/** Of the block `layout`, which stands alone too. */
export function layoutViolations(layout: InputBlock, path: string): readonly InputViolation[] {
  const { apiServerManifest: file, manifestDirectory, encryptionConfigFile: config, apiServerUnit: unit } = layout;
  const folder = typeof manifestDirectory === "string" ? manifestDirectory : kubeadmLayout.manifestDirectory;
  return [
    ...below(path, unknownInputViolations(layout, names.layout)),
    ...["manifestDirectory", "encryptionConfigFile", "pluginSocketDirectory", "backupDirectory"].flatMap((name) =>
      pathViolations(layout[name], `${path}.${name}`),
    ),
    ...optionalTextViolations(layout, "apiServerManifest", path),
    ...unitViolations(layout, path),
    ...(typeof file === "string" && file.includes("/")
      ? [{ path: `${path}.apiServerManifest`, reason: "is a path; write the file's name in manifestDirectory" }]
      : []),
    ...(typeof config === "string" && isAbsent(unit) && config.startsWith(`${folder}/`)
      ? [
          {
            path: `${path}.encryptionConfigFile`,
            reason: `lies in ${folder}, whose files a kubelet takes for pods; name a file in a directory of its own`,
          },
        ]
      : []),
  ];
}

/** Where systemd runs the API server there is no kubelet's folder, and paths stand in a unit file. */
function unitViolations(layout: InputBlock, path: string): readonly InputViolation[] {
  const { apiServerUnit: unit } = layout;
  if (isAbsent(unit) || isUnknown(unit)) return [];
  const named = typeof unit === "string" && serviceName.test(unit);
  return [
    ...(named
      ? []
      : [
          {
            path: `${path}.apiServerUnit`,
            reason: `is ${JSON.stringify(unit)}; write the name of a service with its ending, kube-apiserver.service`,
          },
        ]),
    ...["manifestDirectory", "apiServerManifest"].flatMap((name) =>
      isAbsent(layout[name])
        ? []
        : [{ path: `${path}.${name}`, reason: "is for static pods; leave it out beside apiServerUnit" }],
    ),
    ...["encryptionConfigFile", "pluginSocketDirectory"].flatMap((name) => {
      const value = layout[name];
      return typeof value !== "string" || /^[\w./@+-]+$/.test(value)
        ? []
        : [
            {
              path: `${path}.${name}`,
              reason: "has characters that mean something in a unit file; choose another path",
            },
          ];
    }),
  ];
}

/** Of the block `plugin`, which stands alone too, and is for a static pod then. Paths begin with `path`. */
export function pluginViolations(
  plugin: unknown,
  path: string,
  { asPods, asUnits, isSure }: PluginWays = { asPods: true, asUnits: false, isSure: true },
): readonly InputViolation[] {
  if (isUnknown(plugin)) return [];
  if (!isBlock(plugin)) return [{ path, reason: "is missing; say which image the KMS plugin is: { image }" }];
  const { image, flavour, awsEndpoint, program } = plugin;
  const pinned = typeof image === "string" ? pinnedReferenceProblem(image) : undefined;
  const needsImage = asPods && isSure;
  const missing = needsImage
    ? textViolations(plugin, "image", path, "the plugin's image by digest, for example of a PluginImage")
    : optionalTextViolations(plugin, "image", path);
  const known = isAbsent(flavour) || isUnknown(flavour) || pluginFlavours.includes(flavour as PluginFlavour);
  return [
    ...below(path, unknownInputViolations(plugin, names.plugin)),
    ...missing,
    ...(missing.length === 0 && pinned !== undefined ? [{ path: `${path}.image`, reason: pinned }] : []),
    ...(!asPods && isSure && !isAbsent(image)
      ? [{ path: `${path}.image`, reason: "is for static pods, and every host has an apiServerUnit; leave it out" }]
      : []),
    ...programViolations(program, `${path}.program`, { asPods, asUnits, isSure }),
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
    ...optionalBlock(plugin["environment"], `${path}.environment`, (environment, at) =>
      Object.keys(environment).flatMap((name) => optionalTextViolations(environment, name, at)),
    ),
    ...pathViolations(plugin["azureConfigFile"], `${path}.azureConfigFile`),
    ...(typeof awsEndpoint === "string" && !/^https?:\/\/[^/]/.test(awsEndpoint)
      ? [{ path: `${path}.awsEndpoint`, reason: `is "${awsEndpoint}"; write an http or https URL` }]
      : []),
  ];
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
