// node pipeline.mjs PACKAGES TOP: checks cloudbuild.yaml (keys, order, substitutions, names that infra/ gives, scripts) and the workflows
// under infra/github/ (actionlint, names, scripts), and speaks TAP. Then it breaks a copy in one way after the other.
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [packages, top] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const yaml = require(join(packages, "yaml"));
const { runLint } = require(join(packages, "actionlint", "build", "run-lint.js"));
const read = (file) => readFileSync(join(top, file), "utf8");

const have = (tool) => spawnSync(tool, ["--version"]).status === 0;
const shellcheck = have("shellcheck");

// A script is plain bash: it parses, and shellcheck (where installed) finds nothing in it.
function checkScript(where, script, problems) {
  const parsed = spawnSync("bash", ["-n"], { input: script, encoding: "utf8" });
  if (parsed.status !== 0) problems.push(`${where}: ${parsed.stderr.trim()}`);
  if (!shellcheck) return;
  const checked = spawnSync("shellcheck", ["--shell=bash", "--format=gcc", "-"], { input: script, encoding: "utf8" });
  if (checked.status !== 0) problems.push(`${where}: ${checked.stdout.trim()}`);
}

// ---- Cloud Build ----------------------------------------------------------------------------------------------------

const TOP_KEYS = [
  "steps",
  "substitutions",
  "timeout",
  "options",
  "images",
  "serviceAccount",
  "tags",
  "artifacts",
  "availableSecrets",
  "logsBucket",
];
const STEP_KEYS = [
  "id",
  "name",
  "script",
  "args",
  "entrypoint",
  "env",
  "dir",
  "waitFor",
  "timeout",
  "secretEnv",
  "volumes",
  "allowFailure",
  "automapSubstitutions",
];
const OPTION_KEYS = [
  "logging",
  "automapSubstitutions",
  "dynamicSubstitutions",
  "machineType",
  "substitutionOption",
  "env",
  "pool",
  "diskSizeGb",
  "requestedVerifyOption",
];
const BUILT_IN = [
  "PROJECT_ID",
  "PROJECT_NUMBER",
  "BUILD_ID",
  "LOCATION",
  "COMMIT_SHA",
  "SHORT_SHA",
  "REPO_NAME",
  "BRANCH_NAME",
  "TAG_NAME",
  "REVISION_ID",
];
const ORDER = ["test", "build", "push", "deploy", "migrate"];

function unknownKeys(where, object, known, problems) {
  for (const key of Object.keys(object ?? {}))
    if (!known.includes(key)) problems.push(`${where}: no key is called ${key}`);
}

// The ids of all steps that surely have ended before this one starts.
function before(steps, id, seen = new Set()) {
  for (const earlier of steps.find((step) => step.id === id)?.waitFor ?? [])
    if (earlier !== "-" && !seen.has(earlier)) before(steps, earlier, seen.add(earlier));
  return seen;
}

function checkBuild(text) {
  const problems = [];
  const document = yaml.parseDocument(text);
  if (document.errors.length) return document.errors.map((error) => `cloudbuild.yaml: ${error.message}`);
  const build = document.toJS();
  unknownKeys("cloudbuild.yaml", build, TOP_KEYS, problems);
  unknownKeys("options", build.options, OPTION_KEYS, problems);
  if (!/^\d+s$/.test(build.timeout ?? "")) problems.push("timeout is not a number of seconds such as 600s");
  // A build that runs as a service account of its own must say where its log goes.
  if (!["CLOUD_LOGGING_ONLY", "NONE"].includes(build.options?.logging))
    problems.push("options.logging must be CLOUD_LOGGING_ONLY");
  if (build.options?.automapSubstitutions !== true)
    problems.push("scripts see no substitutions without automapSubstitutions");
  if (build.options?.dynamicSubstitutions !== true) problems.push("_RELEASE needs dynamicSubstitutions");

  const ids = build.steps.map((step) => step.id);
  if (ids.join() !== ORDER.join()) problems.push(`the steps are ${ids.join(", ")}, not ${ORDER.join(", ")}`);
  build.steps.forEach((step, index) => {
    const where = `step ${step.id}`;
    unknownKeys(where, step, STEP_KEYS, problems);
    if (!step.name) problems.push(`${where} has no image`);
    for (const id of step.waitFor ?? [])
      if (id !== "-" && ids.indexOf(id) < 0) problems.push(`${where} waits for ${id}, which is no step`);
      else if (ids.indexOf(id) >= index) problems.push(`${where} waits for ${id}, which comes later`);
    if (!step.script?.startsWith("#!/bin/bash\nset -euo pipefail\n"))
      problems.push(`${where}: a script starts with #!/bin/bash and set -euo pipefail`);
    checkScript(where, step.script ?? "", problems);
  });
  for (const [id, needs] of [
    ["push", "test"],
    ["push", "build"],
    ["deploy", "test"],
    ["deploy", "push"],
    ["migrate", "deploy"],
  ])
    if (!before(build.steps, id).has(needs)) problems.push(`${id} does not wait for ${needs}`);

  const used = new Set(
    [...text.replace(/^#.*$/gm, "").matchAll(/\$\{?(_[A-Z_]+|[A-Z]+_[A-Z_]+)\b/g)].map((match) => match[1]),
  );
  const declared = Object.keys(build.substitutions ?? {});
  for (const name of used)
    if (!declared.includes(name) && !BUILT_IN.includes(name)) problems.push(`${name} is no substitution`);
  for (const name of declared) {
    if (!used.has(name)) problems.push(`${name} is declared and not used`);
    if (!new RegExp(`^#   ${name} +\\S`, "m").test(text)) problems.push(`${name} is not documented`);
    if (typeof build.substitutions[name] !== "string") problems.push(`${name} is not a string`);
  }
  return problems;
}

// ---- GitHub ---------------------------------------------------------------------------------------------------------

// `permitted`: the permissions that it needs, all of them and no other.
async function checkWorkflow(file, text, permitted) {
  const problems = (await runLint(text, file)).map(({ line, message }) => `${file}:${line}: ${message}`);
  const document = yaml.parseDocument(text);
  if (document.errors.length) return [...problems, ...document.errors.map((error) => `${file}: ${error.message}`)];
  const workflow = document.toJS();
  const permissions = workflow.permissions ?? {};
  for (const [scope, level] of Object.entries(permitted))
    if (permissions[scope] !== level) problems.push(`${file}: without ${scope}: ${level} it cannot work`);
  for (const [scope, level] of Object.entries(permissions))
    if (permitted[scope] !== level) problems.push(`${file}: ${scope}: ${level} is not needed`);
  for (const [name, job] of Object.entries(workflow.jobs)) {
    if (job.permissions) problems.push(`${file}: job ${name}: permissions are said once, at the top`);
    for (const step of job.steps ?? []) {
      if (!step.run) continue;
      if (step.run.includes("${{"))
        problems.push(`${file}: job ${name}: an expression in a script can inject code; hand it over in env`);
      checkScript(`${file}: job ${name}`, step.run, problems);
    }
    for (const [variable] of text.matchAll(/\bvars\.\w+/g))
      if (!new RegExp(`^#   ${variable.slice(5)} +\\S`, "m").test(text))
        problems.push(`${file}: ${variable} is not documented`);
  }
  return problems;
}

// A workflow that proposed code can change must not be able to do anything, and must not fetch what it did not name.
async function checkReview(file, text) {
  const problems = await checkWorkflow(file, text, { contents: "read" });
  if (problems.length) return problems;
  const { on, jobs } = yaml.parse(text);
  if (!on.pull_request || Object.keys(on).length !== 1) problems.push(`${file}: runs for pull requests only`);
  if (/secrets\.|vars\./.test(text)) problems.push(`${file}: has no secrets and no variables`);
  for (const { steps } of Object.values(jobs))
    for (const { uses, with: given } of steps)
      if (uses?.startsWith("actions/checkout@") && given?.["persist-credentials"] !== false)
        problems.push(`${file}: leaves its token in the clone`);
  return problems;
}

async function checkDeploy(file, text, action) {
  const problems = await checkWorkflow(file, text, { contents: "read", "id-token": "write" });
  const document = yaml.parseDocument(text);
  if (!document.errors.length) checkUse(file, document.toJS(), action, problems);
  return problems;
}

// A composite action: every input is described and handed over in env, and every script is plain bash.
function checkAction(text) {
  const document = yaml.parseDocument(text);
  if (document.errors.length) return document.errors.map((error) => `action.yaml: ${error.message}`);
  const problems = [];
  const action = document.toJS();
  if (action.runs?.using !== "composite") problems.push("action.yaml: not a composite action");
  for (const [name, input] of Object.entries(action.inputs)) {
    if (!input.description) problems.push(`action.yaml: ${name} is not described`);
    if (!input.required && input.default === undefined) problems.push(`action.yaml: ${name} has no default`);
    if (!text.includes(`\${{ inputs.${name} }}`)) problems.push(`action.yaml: ${name} is not used`);
  }
  for (const [, name] of text.matchAll(/inputs\.(\w+)/g))
    if (!action.inputs[name]) problems.push(`action.yaml: ${name} is no input`);
  for (const step of action.runs?.steps ?? []) {
    if (step.shell !== "bash") problems.push("action.yaml: a script of a composite action names its shell");
    if (step.run.includes("${{")) problems.push("action.yaml: an expression in a script can inject code");
    for (const variable of Object.keys(step.env ?? {}))
      if (!new RegExp(`\\$\\{?${variable}\\b`).test(step.run + read("infra/publish")))
        problems.push(`action.yaml: ${variable} is set and not used`);
    checkScript("action.yaml", step.run, problems);
  }
  return problems;
}

// Whoever uses the action gives what it requires, and nothing that it does not know.
function checkUse(file, workflow, action, problems) {
  const { inputs } = yaml.parse(action);
  const uses = Object.values(workflow.jobs).flatMap((job) =>
    job.steps.filter((step) => step.uses === "./infra/github/migrate"),
  );
  if (uses.length !== 1) problems.push(`${file}: uses ./infra/github/migrate ${uses.length} times`);
  for (const { with: given } of uses) {
    for (const name of Object.keys(given)) if (!inputs[name]) problems.push(`${file}: the action has no input ${name}`);
    for (const [name, input] of Object.entries(inputs))
      if (input.required && !(name in given)) problems.push(`${file}: the action requires ${name}`);
  }
}

// ---- both say what infra/ says --------------------------------------------------------------------------------------

// The names that the module makes, with NAME and PROJECT in place of the variables.
function namesOf(terraform) {
  const clear = (text) => text.replaceAll("${var.name}", "NAME").replaceAll("${var.project}", "PROJECT");
  const accounts = [...terraform.matchAll(/account_id +=\s+"([^"]+)"/g)].map(
    (match) => `${clear(match[1])}@PROJECT.iam.gserviceaccount.com`,
  );
  const topics = [...terraform.matchAll(/resource "google_pubsub_topic" "\w+" \{\n[^}]*?name += "([^"]+)"/g)].map(
    (match) => clear(match[1]),
  );
  const [, audience] = terraform.match(/audience += "([^"]+)"/);
  return { accounts, topics, audience: clear(audience) };
}

function checkNames(file, text, names) {
  const problems = [];
  const clear = text
    .replace(/\$\{\{ vars\.(\w+) \}\}/g, "$1")
    .replace(/\$\{?_?NAME\}?/g, "NAME")
    .replace(/\$\{?PROJECT(_ID)?\}?/g, "PROJECT");
  for (const [account] of clear.matchAll(/NAME-\w+@PROJECT\.iam[\w.]+/g))
    if (!names.accounts.includes(account)) problems.push(`${file}: infra/ makes no account ${account}`);
  for (const [, topic] of clear.matchAll(/topic(?:=|: )"?(NAME[\w-]*)/g))
    if (!names.topics.includes(topic)) problems.push(`${file}: infra/ makes no topic ${topic}`);
  const audiences = [...clear.matchAll(/audience(?:=|: )"?(https:[^"\s]+)/g)].map((match) => match[1]);
  if (!audiences.length) problems.push(`${file}: no audience`);
  for (const audience of audiences)
    if (audience !== names.audience) problems.push(`${file}: the audience is ${names.audience}, not ${audience}`);
  if (!clear.includes("NAME-publisher@PROJECT")) problems.push(`${file}: publishes as nobody`);
  return problems;
}

// ---- TAP ------------------------------------------------------------------------------------------------------------

let tests = 0,
  failed = 0;
function ok(condition, name, details = []) {
  console.log(`${condition ? "ok" : "not ok"} ${++tests} - ${name}`);
  if (condition) return;
  failed++;
  for (const line of details) console.log(`#   ${line}`);
}

const names = namesOf(
  readdirSync(join(top, "infra/pawl"))
    .map((file) => read(`infra/pawl/${file}`))
    .join("\n"),
);
const build = read("cloudbuild.yaml");
const workflow = read("infra/github/deploy.yaml");
const action = read("infra/github/migrate/action.yaml");
const checks = {
  "cloudbuild.yaml": [build, (text) => [...checkBuild(text), ...checkNames("cloudbuild.yaml", text, names)]],
  "infra/github/deploy.yaml": [
    workflow,
    async (text) => [...(await checkDeploy("deploy.yaml", text, action)), ...checkNames("deploy.yaml", text, names)],
  ],
  "infra/github/review.yaml": [read("infra/github/review.yaml"), (text) => checkReview("review.yaml", text)],
  "infra/github/migrate/action.yaml": [action, checkAction],
};

// [what is broken, from, to, the complaint that must come]
const faults = {
  "cloudbuild.yaml": [
    ["a key that Cloud Build does not know", "waitFor: [push]", "waitsFor: [push]", /no key is called waitsFor/],
    ["a wait for a step that is not there", "waitFor: [push]", "waitFor: [pull]", /waits for pull/],
    ["a push without the tests", "waitFor: [test, build]", "waitFor: [build]", /push does not wait for test/],
    ["a substitution that is not declared", "_WAIT: '3000'", "_WAITING: '3000'", /_WAIT is no substitution/],
    ["a substitution that is not documented", "#   _TARGET ", "#   target ", /_TARGET is not documented/],
    ["a script that does not parse", "docker push --quiet", 'docker push "--quiet', /step push/],
    [
      "a script that goes on after a failure",
      "set -euo pipefail\n      docker",
      "docker",
      /step push: a script starts/,
    ],
    ["another account", "$_NAME-publisher@", "$_NAME-publish@", /no account NAME-publish@/],
    ["another topic", "$_NAME-migrate", "$_NAME-migrations", /no topic NAME-migrations/],
    ["another audience", ".internal", ".example", /the audience is/],
    ["a log that goes nowhere", "  logging: CLOUD_LOGGING_ONLY\n", "", /options.logging/],
  ],
  "infra/github/deploy.yaml": [
    ["what actionlint refuses", "runs-on: ubuntu-latest", "run-on: ubuntu-latest", /run-on/],
    ["an expression of an unknown context", "${{ vars.REGION }}", "${{ var.REGION }}", /undefined variable "var"/],
    ["no permission to ask for a token", "id-token: write", "id-token: none", /without id-token/],
    ["permissions of a job", "    runs-on:", "    permissions: {contents: write}\n    runs-on:", /said once, at the top/],
    ["more permission than needed", "contents: read", "contents: write", /contents: write is not needed/],
    ["an expression in a script", '--tag "$image" .', '--tag "${{ github.sha }}" .', /can inject code/],
    ["a variable that is not documented", "#   REGION ", "#   where ", /vars.REGION is not documented/],
    ["another topic", "}}-migrate", "}}-migrations", /no topic NAME-migrations/],
    ["another audience", "id_token_audience: https://", "id_token_audience: https://x.", /the audience is/],
    ["an input that the action does not know", "wait: 3000", "waits: 3000", /no input waits/],
    ["an input that the action requires", /          topic: .*\n/, "", /requires topic/],
  ],
  "infra/github/review.yaml": [
    ["more permission than needed", "contents: read", "contents: read\n  id-token: write", /id-token: write is not needed/],
    ["a trigger that gives secrets to forks", "  pull_request:", "  pull_request_target:", /runs for pull requests only/],
    ["a secret", "POSTGRES_PASSWORD: review", "POSTGRES_PASSWORD: ${{ secrets.X }}", /has no secrets/],
    ["a token that stays", "persist-credentials: false", "persist-credentials: true", /leaves its token/],
    ["an expression in a script", '"$BASE...HEAD"', '"origin/${{ github.base_ref }}...HEAD"', /can inject code/],
    ["an input that an action does not have", "          load: true", "          loud: true", /input "loud" is not defined/],
    ["a script that does not parse", 'mapfile -d', 'mapfile "-d', /job review/],
  ],
  "infra/github/migrate/action.yaml": [
    ["an input that is not used", "AUDIENCE: ${{ inputs.audience }}", "AUDIENCE: x", /audience is not used/],
    ["an input that is not declared", "${{ inputs.wait }}", "${{ inputs.waits }}", /waits is no input/],
    ["an expression in a script", '"$PROJECT"', '"${{ inputs.project }}"', /can inject code/],
    ["a proof that is not handed on", ' --proof="$PROOF"', "", /PROOF is set and not used/],
    ["a script without its shell", "      shell: bash\n", "", /names its shell/],
  ],
};

ok(names.accounts.length === 4 && names.topics.length === 3, "the names of infra/ are found", [JSON.stringify(names)]);
for (const [file, [text, check]] of Object.entries(checks)) {
  const problems = await check(text);
  ok(problems.length === 0, `${file} holds together`, problems);
  for (const [name, from, to, complaint] of faults[file]) {
    const broken = text.replace(from, () => to);
    const found = broken === text ? ["the fault could not be planted"] : await check(broken);
    ok(
      found.some((problem) => complaint.test(problem)),
      `${name} is noticed`,
      found,
    );
  }
}
console.log(`1..${tests}`);
if (!shellcheck) console.log("# shellcheck is not installed: scripts were only parsed");
process.exit(failed ? 1 : 0); // the linter's runtime would stay for ever
