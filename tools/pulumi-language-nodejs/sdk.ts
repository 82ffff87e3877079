/** Loads the Pulumi SDK of the user's project: this host has no modules of its own, wherever it lies. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type * as grpc from "@grpc/grpc-js";
import type * as languageService from "@pulumi/pulumi/proto/language_grpc_pb";
import type * as language from "@pulumi/pulumi/proto/language_pb";
import type * as plugin from "@pulumi/pulumi/proto/plugin_pb";

export interface Sdk {
  readonly grpc: typeof grpc;
  readonly language: typeof language;
  readonly languageService: typeof languageService;
  readonly plugin: typeof plugin;
}

/** The SDK that a program in `directory` would import. Throws an error that names the directory and what to do. */
export function loadSdk(directory: string): Sdk {
  const require = createRequire(sdkPath(directory, "package.json"));
  return {
    grpc: require("@grpc/grpc-js") as typeof grpc,
    language: require("@pulumi/pulumi/proto/language_pb") as typeof language,
    languageService: require("@pulumi/pulumi/proto/language_grpc_pb") as typeof languageService,
    plugin: require("@pulumi/pulumi/proto/plugin_pb") as typeof plugin,
  };
}

/** A file of the SDK's package. */
export function sdkPath(directory: string, file: string): string {
  try {
    const manifest = createRequire(join(directory, "package.json")).resolve("@pulumi/pulumi/package.json");
    return join(dirname(manifest), file);
  } catch (cause) {
    throw new Error(`${directory} has no @pulumi/pulumi in its node_modules: run npm install there`, { cause });
  }
}
