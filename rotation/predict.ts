/** The cluster as it would be after a decision succeeds: what `plan` plays `decide` forward on. Pure. */
import { createHash } from "node:crypto";
import { encryptionConfigurationDocument } from "../core/encryption-configuration";
import type { Decision, Measurement } from "./decision";
import type { Goal } from "./goal";
import type { Observation, PluginObservation, ServerObservation, StoredProof } from "./observation";
import { serverState, serverStates } from "./proofs";
import { settledSince } from "./settled";
import { type EndpointOf, situationOf } from "./situation";

export function predict(
  observed: Observation,
  decision: Exclude<Decision, { kind: "wait" | "blocked" | "done" }>,
  goal: Goal,
  endpointOf: EndpointOf,
): Observation {
  if (decision.kind === "measure") return predictMeasurement(observed, decision.measurement, goal);
  const { action } = decision;
  switch (action.kind) {
    case "startPlugin": {
      const keyId = predictedKeyId(observed, goal, action.plugin.name);
      const { name } = action.plugin;
      const plugin = { name, endpoint: endpointOf(action.plugin), startedAt: observed.now, keyId, problem: undefined };
      const crosswise = observed.crosswise.filter((proof) => proof.plugin !== name);
      return changeServer({ ...observed, crosswise }, action.server, (server) => ({
        ...server,
        plugins: [...server.plugins.filter((present) => present.name !== name), plugin],
        ...withoutIdle(server, name),
      }));
    }
    case "stopPlugin":
      return changeServer(observed, action.server, (server) => ({
        ...server,
        plugins: server.plugins.filter((plugin) => plugin.name !== action.plugin),
        ...withoutIdle(server, action.plugin),
      }));
    case "nameKeysByArn":
    case "restorePlugin":
      return changeServer(observed, action.server, (server) => ({
        ...server,
        plugins: server.plugins.map((plugin) => (plugin.name === action.plugin ? settledPlugin(plugin) : plugin)),
      }));
    case "writeConfig":
      return action.writes.reduce<Observation>(
        (seen, write) => {
          const bytes = JSON.stringify(encryptionConfigurationDocument(write.config));
          const hash = `predicted:${createHash("sha256").update(bytes).digest("hex")}`;
          const file = { hash, config: write.config, writtenAt: seen.now };
          return settle(
            changeServer(seen, write.server, (server) =>
              server.reload === "hot" ? loadedNow({ ...server, file }, seen.now) : { ...server, file },
            ),
            observed,
            goal,
            endpointOf,
          );
        },
        { ...observed, written: [...observed.written, ...action.writes.map((write) => write.server)] },
      );
    case "restart":
      return settle(
        changeServer(observed, action.server, (server) =>
          loadedNow({ ...server, processStartedAt: observed.now }, observed.now),
        ),
        observed,
        goal,
        endpointOf,
      );
    case "setUp":
      return settle(
        changeServer(observed, action.server, ({ setUp, ...server }) =>
          loadedNow(
            {
              ...server,
              file: fileAfterSetUp(server, setUp),
              processStartedAt: observed.now,
              reload: setUp?.reloadAfter ?? server.reload,
            },
            observed.now,
          ),
        ),
        observed,
        goal,
        endpointOf,
      );
    case "undoSetUp":
      return changeServer(observed, action.server, ({ setUpUnproven: _, ...server }) => server);
    case "restoreLoaded":
      return changeServer(observed, action.server, ({ fileProblem: _problem, fallback, ...server }) => {
        const config = [server.loaded, fallback].find((kept) => kept?.hash === action.loadedHash)?.config;
        if (config === undefined) return server;
        return { ...server, file: { hash: action.loadedHash, config, writtenAt: observed.now } };
      });
    case "compact":
      return { ...observed, compacted: { revision: action.revision, defragmented: [] } };
    case "rewrite": {
      const { stored } = observed;
      if (stored === undefined) return observed;
      const resources = stored.resources.map((entry) => {
        const target = action.targets.find((candidate) => candidate.resource === entry.resource);
        return target === undefined
          ? entry
          : { ...entry, unknown: 0, keys: [{ key: target.key, objects: entry.objects }] };
      });
      return {
        ...observed,
        stored: { ...stored, resources },
        rewrites: { count: observed.rewrites.count + 1, failures: [], startedAt: observed.now },
      };
    }
  }
}

function predictMeasurement(observed: Observation, measurement: Measurement, goal: Goal): Observation {
  switch (measurement.kind) {
    case "crosswise": {
      const { name } = measurement.plugin;
      const keyId = predictedKeyId(observed, goal, name);
      return {
        ...observed,
        crosswise: [...observed.crosswise, { plugin: name, servers: goal.servers, keyId, failure: undefined }],
      };
    }
    case "stored": {
      // What is stored does not change by looking again; the proof moves on to the servers as they then are.
      const present: StoredProof = observed.stored ?? {
        method: "etcd",
        startedAt: observed.now,
        finishedAt: observed.now,
        servers: [],
        resources: measurement.targets.map((target) => ({
          resource: target.resource,
          objects: 0,
          bytes: 0,
          keys: [],
          unknown: 0,
        })),
      };
      const missing = measurement.targets.filter(
        (target) => !present.resources.some((entry) => entry.resource === target.resource),
      );
      const resources = [
        ...present.resources,
        ...missing.map((target) => ({ resource: target.resource, objects: 0, bytes: 0, keys: [], unknown: 0 })),
      ];
      return {
        ...observed,
        stored: {
          ...present,
          resources,
          startedAt: observed.now,
          finishedAt: observed.now,
          servers: serverStates(observed.servers),
        },
      };
    }
    case "snapshot": {
      const etcd = observed.etcd ?? { clusterId: "", revision: 0, raftIndex: 0 };
      const record = {
        formatVersion: 1 as const,
        snapshot: "",
        bytes: 0,
        sha256: "",
        takenAt: "",
        ...etcd,
        needs: [],
        unknown: 0,
      };
      return { ...observed, snapshot: { directory: measurement.directory, record, etcd } };
    }
    case "readThrough": {
      const server = observed.servers.find((candidate) => candidate.name === measurement.server);
      const state = server && serverState(server);
      return state === undefined
        ? observed
        : { ...observed, readThrough: [...observed.readThrough, { state, objects: 0, failures: [] }] };
    }
  }
}

/** The prediction once what is waited for has come: files loaded, servers ready, plugins answering, old requests ended. */
export function afterWaiting(observed: Observation, goal: Goal, endpointOf: EndpointOf): Observation {
  const now = Math.max(observed.now + 1_000, observed.settledAt ?? 0);
  const servers = observed.servers.map(({ heardKeyIds: _heard, ...server }) => ({
    ...loadedNow(server, server.file?.hash === server.loaded.hash ? server.loaded.since : now),
    unreachable: undefined,
    notReady: undefined,
    troubleSince: undefined,
    plugins: server.plugins.map(({ listeningSince: _before, namedByArn: _unproven, ...plugin }) => ({
      ...plugin,
      keyId: plugin.keyId ?? predictedKeyId(observed, goal, plugin.name),
      problem: undefined,
    })),
  }));
  const atRest = observed.etcdMembers?.map((member) => ({ ...member, underWay: [] }));
  const next = { ...observed, now, servers, ...(atRest && { etcdMembers: atRest }) };
  return settle(next, observed, goal, endpointOf);
}

/** Named by its key's ARN, and proven. */
function settledPlugin({ aliases: _aliases, namedByArn: _unproven, ...plugin }: PluginObservation): PluginObservation {
  return plugin;
}

function withoutIdle({ idlePlugins }: ServerObservation, name: string): Pick<ServerObservation, "idlePlugins"> {
  return idlePlugins === undefined ? {} : { idlePlugins: idlePlugins.filter((idle) => idle !== name) };
}

/** Where the flags were lost under a process that runs, what it has loaded is put to use again. */
function fileAfterSetUp(
  { file, loaded }: Omit<ServerObservation, "setUp">,
  setUp: ServerObservation["setUp"],
): ServerObservation["file"] {
  if (setUp?.namesNoConfig !== true || file === undefined) return file;
  return loaded.hash === undefined || loaded.config === undefined
    ? file
    : { ...file, hash: loaded.hash, config: loaded.config };
}

/** A cloud key's id is not known before one of its plugins reports it; here it only has to be the same wherever it stands. */
function predictedKeyId({ servers }: Observation, goal: Goal, name: string): string {
  const plugins = servers.flatMap((server) => server.plugins.filter((plugin) => plugin.name === name));
  const [reported] = plugins.flatMap(({ keyId }) => keyId ?? []);
  if (reported !== undefined) return reported;
  const key = goal.declared.find((plugin) => plugin.name === name)?.key;
  return key?.kind === "local" ? key.keyId : `the key of ${name}`;
}

function loadedNow(server: ServerObservation, since: number): ServerObservation {
  if (server.file === undefined) return server;
  return {
    ...server,
    restartRequestedAt: undefined,
    loaded: { ...server.loaded, hash: server.file.hash, config: server.file.config, since },
  };
}

function settle(next: Observation, before: Observation, goal: Goal, endpointOf: EndpointOf): Observation {
  const situation = situationOf(next, goal, endpointOf);
  return { ...next, settledAt: settledSince(before.settledAt, next, situation.writersAreTheGoals) };
}

function changeServer(
  observed: Observation,
  name: string,
  change: (server: ServerObservation) => ServerObservation,
): Observation {
  return { ...observed, servers: observed.servers.map((server) => (server.name === name ? change(server) : server)) };
}
