/** What the command line of the plugin says, typed: one object per key provider. */
import type { AwsPluginConfig } from "./aws";
import type { AzurePluginConfig } from "./azure";
import type { LocalPluginConfig } from "./local";

export type PluginConfig = AzurePluginConfig | AwsPluginConfig | LocalPluginConfig;
