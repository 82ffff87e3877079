/** What can be done to keys, by where they live. Another kind of key is another entry here; its adapter is a file of its own. */
import type { KeyCustodies } from "../../key-custody";
import { awsKeyCustody } from "../aws/aws-key-custody";
import { lazyAwsKeyAdmin } from "../aws/lazy-key-admin";
import { azureCloud } from "../azure/azure-cloud";
import { azureKeyCustody } from "../azure/azure-key-custody";
import { lazyAzureClients } from "../azure/lazy-clients";
import { localKeyCustody } from "./local-key-custody";

export const keyCustodies: KeyCustodies = {
  aws: awsKeyCustody(lazyAwsKeyAdmin()),
  azure: azureKeyCustody(lazyAzureClients(process.env), () => azureCloud(process.env)),
  local: localKeyCustody(),
};
