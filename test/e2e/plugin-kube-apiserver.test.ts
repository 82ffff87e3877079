import { pluginBeforeApiServer } from "./support/plugin-before-api-server";

pluginBeforeApiServer("the plugin before the newest API server");
