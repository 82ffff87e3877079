import { findTool } from "../../tools/find-tool";
import { pluginBeforeApiServer } from "../e2e/support/plugin-before-api-server";

pluginBeforeApiServer("the plugin before an API server of 1.31", {
  apiServerBinary: async () => (await findTool("kube-apiserver-1.31")).path,
});
