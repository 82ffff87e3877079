/**
 * What a plan warns of because of single objects. The names are for whoever reads the plan: warnings are shown and, unlike
 * plans and evidence, kept nowhere.
 */
import { providerIds } from "../core/encryption-configuration";
import type { Observation } from "./observation";
import type { RewriteForecast } from "./rewrite-forecast";
import { describeAlias } from "./rules/alias-rules";

const shown = 10;

/** Objects that a rewrite would leave behind, as far as can be known before it. */
export function rewriteWarnings(rewrite: RewriteForecast | undefined): readonly string[] {
  const { tooLarge = [], unreadable = [], resources = [] } = rewrite ?? {};
  const admission = resources.flatMap(({ resource, mutatingWebhooks, validatingWebhooks, policies }) => {
    const parts = [
      ...(mutatingWebhooks.length > 0 ? [`mutating webhooks ${mutatingWebhooks.join(", ")}`] : []),
      ...(validatingWebhooks.length > 0 ? [`validating webhooks ${validatingWebhooks.join(", ")}`] : []),
      ...(policies.length > 0 ? [`admission policies ${policies.join(", ")}`] : []),
    ];
    return parts.length === 0
      ? []
      : [`every write of ${resource} passes ${parts.join("; ")}: each may refuse it or change it`];
  });
  return [
    ...admission,
    ...listed(
      unreadable.map(({ resource, namespace, name, reason }) => {
        const object = name === "" ? resource : `${resource} ${namespace === "" ? "" : `${namespace}/`}${name}`;
        return `${object}: ${reason}`;
      }),
      "cannot be read now, so it cannot be rewritten; give back the key that reads it, or delete it",
      "cannot be read now, so they cannot be rewritten; give back the key that reads them, or delete them",
    ),
    ...listed(
      tooLarge.map(({ object, bytes }) => `${object} (about ${bytes} bytes)`),
      "may be too long for etcd once it is encrypted with the new key; shorten it, or raise etcd's --max-request-bytes",
      "may be too long for etcd once they are encrypted with the new key; shorten them, or raise etcd's --max-request-bytes",
    ),
  ];
}

/** Where objects that would be too long could not be looked for. */
export function unsizedWarnings(rewrite: RewriteForecast | undefined): readonly string[] {
  const unsized = (rewrite?.resources ?? []).filter(({ bytes }) => bytes === undefined).map(({ resource }) => resource);
  if (unsized.length === 0) return [];
  return [
    `${unsized.join(", ")}: objects that would be too long for etcd once they are encrypted were not looked for, because without access to etcd nobody tells how long they are`,
  ];
}

/** Plugins whose settings somebody has edited on a host: theirs stay, whatever the inputs say. */
export function editedPluginWarnings({ servers }: Observation): readonly string[] {
  return servers.flatMap((server) =>
    server.plugins.flatMap(({ name, outdated }) =>
      outdated?.isEdited === true
        ? [
            `${name} on ${server.name} was edited by hand (${outdated.differences.join(", ")}) and stays as it is: take its file away to have it written anew`,
          ]
        : [],
    ),
  );
}

/** Aliases that give way to ARNs, each once: which key it is, and what the change is noticed by. */
export function aliasWarnings({ servers }: Observation): readonly string[] {
  const found = servers.flatMap(({ name, file, plugins }) =>
    plugins.flatMap((plugin) => {
      const items = file?.config.blocks.flatMap(({ providers }) => providers) ?? [];
      const isV1 = items.some(
        (item) => item.kind === "kms" && item.apiVersion === "v1" && item.endpoint === plugin.endpoint,
      );
      return (plugin.aliases ?? []).map((alias) => ({ server: name, plugin: plugin.name, isV1, ...alias }));
    }),
  );
  const texts = new Map<string, { readonly servers: string[]; readonly isV1: boolean }>();
  for (const { server, isV1, ...seen } of found) {
    const text = describeAlias(seen.plugin, seen);
    const known = texts.get(text) ?? { servers: [], isV1 };
    if (!known.servers.includes(server)) known.servers.push(server);
    texts.set(text, known);
  }
  return [...texts].map(([text, { servers: named, isV1 }]) => {
    const away = isV1 ? ", and with KMS v1 writes of encrypted objects through its server can fail meanwhile" : "";
    return `${text} (on ${named.join(", ")}): an alias can be moved without a trace, so the ARN takes its place before a rotation begins. The plugin restarts for it, one host after the other${away}`;
  });
}

/** Stored values that no server's configuration reads, and those that nobody understands. */
export function unreadWarnings({ stored, servers }: Observation): readonly string[] {
  const configs = servers.flatMap((server) => [server.loaded.config, server.file?.config]);
  const known = configs.filter((config) => config !== undefined);
  // A count through the API servers looks at no value.
  if (stored === undefined || stored.method === "counted" || known.length === 0) return [];
  const read = new Set(
    known.flatMap((config) => config.blocks.flatMap((block) => block.providers)).flatMap(providerIds),
  );
  return stored.resources.flatMap(({ resource, keys, unknown, unknownValues = [] }) => [
    ...keys
      .filter(({ key }) => !read.has(key.provider) && key.provider !== "identity")
      .map(({ key, objects, examples = [] }) => {
        const some =
          examples.length === 0 ? "" : ` (${examples.join(", ")}${objects > examples.length ? ", ..." : ""})`;
        return `${objects} ${resource}${some} need ${key.provider}, which no API server reads: declare its key, or delete them`;
      }),
    ...(unknown === 0
      ? []
      : [
          `${unknown} values of ${resource} are not understood: ${unknownValues
            .map(({ object, reason }) => `${object} (${reason})`)
            .join(", ")}${unknown > unknownValues.length ? ", ..." : ""}`,
        ]),
  ]);
}

function listed(names: readonly string[], one: string, many: string): readonly string[] {
  if (names.length === 0) return [];
  const more = names.length > shown ? ` and ${names.length - shown} more` : "";
  return [`${names.slice(0, shown).join("; ")}${more} ${names.length === 1 ? one : many}`];
}
