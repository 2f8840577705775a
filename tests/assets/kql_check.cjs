// Checks KQL with Microsoft's own language service: {"tables": {name: "(column: type, …)"}, "queries": {name: text}} on
// standard input, {name: ["what is wrong", …]} on standard output.
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const folder = path.dirname(require.resolve("@kusto/language-service-next/package.json"));
// Both files are written for pages and expect the global object.
for (const file of ["bridge.js", "Kusto.Language.Bridge.js"]) {
  vm.runInThisContext(fs.readFileSync(path.join(folder, file), "utf8"), file);
}
const { GlobalState, KustoCode, Symbols } = globalThis.Kusto.Language;
const asked = JSON.parse(fs.readFileSync(0, "utf8"));

const tables = Object.entries(asked.tables).map(([name, schema]) => new Symbols.TableSymbol.$ctor7(name, schema, null));
const database = new Symbols.DatabaseSymbol.$ctor3("workspace", null, tables, false);
const globals = GlobalState.Default.WithDatabase(database);

const answers = {};
for (const [name, query] of Object.entries(asked.queries)) {
  const found = globalThis.Bridge.toArray(KustoCode.ParseAndAnalyze(query, globals).GetDiagnostics());
  answers[name] = found.map((one) => `${one.Severity}: ${one.Message}`);
}
console.log(JSON.stringify(answers));
