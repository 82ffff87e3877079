import tseslint from "typescript-eslint";

/** Type-aware rules that find real defects (un-awaited promises, leaking `any`); layout is biome's, imports' direction dependency-cruiser's. */
export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "coverage/", "**/*.mjs", "**/*.cjs", "**/*.js", ".kms-etcd/"] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-confusing-void-expression": [
        "error",
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // index signatures are read by name on purpose: noPropertyAccessFromIndexSignature asks for it
      "@typescript-eslint/dot-notation": "off",
      "@typescript-eslint/no-non-null-assertion": "error",
      // ports have async methods whose implementation may have nothing to await
      "@typescript-eslint/require-await": "off",
      // its remedy is the assertion that no-non-null-assertion refuses
      "@typescript-eslint/non-nullable-type-assertion-style": "off",
      "@typescript-eslint/unbound-method": "off",
      "no-restricted-imports": [
        "error",
        {
          paths: ["@pulumi/aws", "@pulumi/azure-native"].map((name) => ({
            name,
            message: "import the module inside it (for example @pulumi/aws/kms): half the load time",
          })),
        },
      ],
    },
  },
  {
    files: ["test/**/*.ts", "bench/**/*.ts"],
    rules: {
      "max-lines": ["error", { max: 500, skipBlankLines: true, skipComments: true }],
      "@typescript-eslint/no-misused-spread": "off",
      "@typescript-eslint/no-floating-promises": [
        "error",
        { allowForKnownSafeCalls: [{ from: "package", name: ["describe", "it"], package: "mocha" }] },
      ],
      "@typescript-eslint/no-empty-function": "off",
    },
  },
);
