/** The KMS plugin's image in a registry that the control-plane hosts can pull from: built and pushed, or one that exists. */
import type * as dockerBuild from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import { pinnedReferenceProblem, registryHost, repositoryProblem, tagProblem } from "../core/image-reference";
import { type InputViolation, unknownInputViolations } from "../core/input-rules";
import { typeTokens } from "../core/type-tokens";
import { inputError } from "./input-error";

/** A processor that the image is built for. */
export const ImagePlatform = {
  /** 64-bit x86. */
  LinuxAmd64: "linux/amd64",
  /** 64-bit ARM. */
  LinuxArm64: "linux/arm64",
} as const;
export type ImagePlatform = (typeof ImagePlatform)[keyof typeof ImagePlatform];

/** A login to a registry. */
export interface RegistryLoginArgs {
  /**
   * The registry's host.
   * @default the host in the repository's name
   */
  readonly address?: pulumi.Input<string>;
  /** User name: `AWS` for Amazon ECR, the token's or service principal's name for Azure Container Registry. */
  readonly username: pulumi.Input<string>;
  /** Password or token. It is a secret in the stack's state. */
  readonly password: pulumi.Input<string>;
}

/** What to build, and where to push it. */
export interface PluginImageBuildArgs {
  /**
   * The folder that `npx kms-etcd-plugin-image --out FOLDER` has written. Changing what is in it builds and pushes again.
   */
  readonly context: string;
  /** Where to push, without a tag: `<registry host>/<path>`. Another one later pushes there and leaves the earlier image. */
  readonly repository: pulumi.Input<string>;
  /**
   * A name for people and for the registry's rules about what to keep. `ref` names the digest, so a tag that moves does no harm.
   * @default "latest"
   */
  readonly tag?: pulumi.Input<string>;
  /**
   * The processors of the control-plane hosts. The folder must hold a root file system for each.
   * @default ["linux/amd64", "linux/arm64"]
   */
  readonly platforms?: pulumi.Input<pulumi.Input<ImagePlatform>[]>;
  /**
   * The login for the registry.
   * @default the logins that docker knows on this machine
   */
  readonly registry?: pulumi.Input<RegistryLoginArgs>;
}

/** The inputs of a PluginImage: exactly one of `build` and `existingRef`. */
export interface PluginImageArgs {
  /** Build the image with docker's BuildKit and push it. Needs docker, and the npm package `@pulumi/docker-build` in the program. */
  readonly build?: PluginImageBuildArgs;
  /** An image that exists: `repository@sha256:<digest>`. A tag alone is refused, because it can be moved to other bytes without a trace. */
  readonly existingRef?: pulumi.Input<string>;
}

const inputNames = ["build", "existingRef"];

/**
 * The image of the KMS plugin for Azure Key Vault, AWS KMS and local keys. `ref` is what a static pod's `image` takes.
 * Removing it leaves pushed images in the registry: running control planes may have to pull them again.
 */
export class PluginImage extends pulumi.ComponentResource {
  /** The image by its digest: `repository@sha256:...`. */
  readonly ref: pulumi.Output<string>;

  constructor(name: string, args: PluginImageArgs, opts?: pulumi.ComponentResourceOptions) {
    const chosen = checked(args);
    // The login stays out of the component's own inputs: it is stored once, as a secret of the image.
    const { registry, ...build } = chosen.build ?? { registry: undefined };
    super(
      typeTokens.pluginImage,
      name,
      chosen.build === undefined ? { existingRef: chosen.existingRef } : { build },
      opts,
    );
    this.ref =
      chosen.build === undefined
        ? proven(chosen.existingRef, "existingRef", pinnedReferenceProblem)
        : buildAndPush(name, this, chosen.build, registry);
    this.registerOutputs({ ref: this.ref });
  }
}

function buildAndPush(
  name: string,
  parent: pulumi.Resource,
  build: PluginImageBuildArgs,
  registry: PluginImageBuildArgs["registry"],
): pulumi.Output<string> {
  const repository = proven(build.repository, "build.repository", repositoryProblem);
  const tag = proven(build.tag ?? "latest", "build.tag", tagProblem);
  const image = new (loadDockerBuild().Image)(
    name,
    {
      context: { location: build.context },
      platforms: build.platforms ?? [ImagePlatform.LinuxAmd64, ImagePlatform.LinuxArm64],
      tags: [pulumi.interpolate`${repository}:${tag}`],
      push: true,
      // The preview of a rotation must not build; what is in the folder is compared all the same.
      buildOnPreview: false,
      ...(registry === undefined
        ? {}
        : { registries: [pulumi.output(registry).apply((login) => loginTo(repository, login))] }),
    },
    // Hosts pull by digest whenever a pod starts anew, so what was pushed stays.
    { parent, retainOnDelete: true },
  );
  return pulumi.interpolate`${repository}@${image.digest}`;
}

function loginTo(repository: pulumi.Output<string>, login: pulumi.Unwrap<RegistryLoginArgs>) {
  return {
    address: login.address ?? repository.apply(registryHost),
    username: login.username,
    password: pulumi.secret(login.password),
  };
}

/** Loaded by programs that build: its plugin is of no use to all others, so it is an optional peer of this package. */
function loadDockerBuild(): typeof dockerBuild {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- see above
    return require("@pulumi/docker-build") as typeof dockerBuild;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw cause;
    throw new pulumi.InputPropertyError({
      propertyPath: "build",
      reason:
        "needs the npm package @pulumi/docker-build: npm install @pulumi/docker-build@0.0.22; or give existingRef",
    });
  }
}

/** The value, once it is known that nothing is wrong with it. */
function proven(
  value: pulumi.Input<string>,
  propertyPath: string,
  problem: (value: string) => string | undefined,
): pulumi.Output<string> {
  return pulumi.output(value).apply((known) => {
    const reason = problem(known);
    if (reason !== undefined) throw new pulumi.InputPropertyError({ propertyPath, reason });
    return known;
  });
}

type Chosen =
  | { readonly build: PluginImageBuildArgs }
  | { readonly build?: undefined; readonly existingRef: pulumi.Input<string> };

/** Throws one error that lists all that is wrong and known already; what is an output is looked at when it is known. */
function checked(args: Partial<PluginImageArgs> | undefined): Chosen {
  const inputs = (args ?? {}) as Readonly<Record<string, unknown>>;
  const { build, existingRef } = args ?? {};
  const violations: InputViolation[] = [...unknownInputViolations(inputs, inputNames)];
  if (build !== undefined && existingRef !== undefined)
    violations.push({ path: "existingRef", reason: "stands beside build; keep exactly one of the two" });
  if (typeof existingRef === "string") note(violations, "existingRef", pinnedReferenceProblem(existingRef));
  if (build !== undefined) violations.push(...buildViolations(build));
  if (violations.length === 0 && build !== undefined) return { build };
  if (violations.length === 0 && existingRef !== undefined) return { existingRef };
  if (violations.length === 0)
    violations.push({ path: "build", reason: "is missing: give exactly one of build, existingRef" });
  throw inputError("PluginImage", violations);
}

const buildNames = ["context", "repository", "tag", "platforms", "registry"];

function buildViolations(build: Partial<PluginImageBuildArgs>): readonly InputViolation[] {
  const violations = unknownInputViolations(build as Readonly<Record<string, unknown>>, buildNames).map(
    ({ path, reason }) => ({ path: `build.${path}`, reason }),
  );
  if (typeof build.context !== "string" || build.context === "") {
    const reason = "is missing; name the folder that `npx kms-etcd-plugin-image --out FOLDER` has written";
    violations.push({ path: "build.context", reason });
  }
  if (build.repository === undefined)
    violations.push({ path: "build.repository", reason: "is missing; name the repository to push to, without a tag" });
  if (typeof build.repository === "string") note(violations, "build.repository", repositoryProblem(build.repository));
  if (typeof build.tag === "string") note(violations, "build.tag", tagProblem(build.tag));
  return violations;
}

function note(violations: InputViolation[], path: string, reason: string | undefined): void {
  if (reason !== undefined) violations.push({ path, reason });
}
