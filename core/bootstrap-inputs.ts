/** The inputs of a control plane's bootstrap: everything that is wrong with them, and what they mean. Values may be anything. */
import { firstEncryptionConfig, KubeadmApiVersion } from "./bootstrap";
import type { EncryptionConfiguration } from "./encryption-configuration";
import { type InputViolation, resourceNameViolations, unknownInputViolations } from "./input-rules";
import { pluginInstance } from "./plugin-instance";
import { keyAndPluginInputs, keyAndPluginViolations, keyOf } from "./plugin-pod-inputs";
import { firstPluginPorts, type PluginPodSettings, pluginStaticPod } from "./plugin-static-pod";
import { sealedPod } from "./pod-seal";
import { kubeadmLayout, type SelfManagedLayout } from "./self-managed-cluster";
import { layoutViolations } from "./self-managed-inputs";

type Inputs = Readonly<Record<string, unknown>>;

const inputNames = [...keyAndPluginInputs, "resources", "layout", "kubeadmApiVersion"];

/** Paths are those of the inputs. */
export function bootstrapViolations(inputs: Inputs): readonly InputViolation[] {
  const { resources, layout, kubeadmApiVersion: version } = inputs;
  const versions: readonly unknown[] = Object.values(KubeadmApiVersion);
  return [
    ...unknownInputViolations(inputs, inputNames),
    ...keyAndPluginViolations(inputs),
    ...(resources === undefined
      ? []
      : Array.isArray(resources)
        ? resourceNameViolations("resources", resources)
        : [{ path: "resources", reason: "is no list of texts" }]),
    ...(layout === undefined
      ? []
      : isObject(layout)
        ? [
            ...layoutViolations(layout, "layout"),
            ...(layout["apiServerUnit"] == null
              ? []
              : [{ path: "layout.apiServerUnit", reason: "is not for a first boot with kubeadm; leave it out" }]),
          ]
        : [{ path: "layout", reason: "is not an object" }]),
    ...(version === undefined || versions.includes(version)
      ? []
      : [{ path: "kubeadmApiVersion", reason: `is ${JSON.stringify(version)}; write ${versions.join(" or ")}` }]),
  ];
}

export interface FirstBoot {
  readonly config: EncryptionConfiguration;
  readonly podName: string;
  /** With its seal, so that the first rollout takes it for the engine's own. */
  readonly pod: Record<string, unknown>;
  readonly layout: SelfManagedLayout;
  readonly kubeadmApiVersion: KubeadmApiVersion;
}

/** What inputs without violations mean. */
export function firstBoot(inputs: Inputs): FirstBoot {
  const given = Object.entries((inputs["layout"] ?? {}) as Partial<SelfManagedLayout>);
  const layout = { ...kubeadmLayout, ...Object.fromEntries(given.filter(([, value]) => (value as unknown) != null)) };
  const plugin = pluginInstance(keyOf(inputs));
  const { name, key } = plugin;
  const pod = pluginStaticPod(
    { name, key, socketPath: `${layout.pluginSocketDirectory}/${plugin.socketFile}`, ports: firstPluginPorts(key) },
    inputs["plugin"] as PluginPodSettings,
  );
  return {
    config: firstEncryptionConfig(
      plugin,
      (inputs["resources"] as readonly string[] | undefined) ?? ["secrets"],
      layout,
    ),
    podName: name,
    pod: sealedPod(pod),
    layout,
    kubeadmApiVersion: (inputs["kubeadmApiVersion"] as KubeadmApiVersion | undefined) ?? KubeadmApiVersion.V1Beta4,
  };
}

function isObject(value: unknown): value is Inputs {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
