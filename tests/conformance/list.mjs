// Prints what the suite asks, group by group, and the results that it publishes, as JSON.
// usage: node list.mjs FOLDER-OF-THE-PACKAGE

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { argv } from 'node:process'
import { pathToFileURL } from 'node:url'

const from = async path => (await import(pathToFileURL(join(argv[2], path)))).default

// The suite's own command line puts them together in this way.
const suites = [...await from('tests/index.mjs'), await from('tests/surrogate-control.mjs')]

const groups = suites.map(suite => ({
  id: suite.id,
  name: suite.name,
  tests: suite.tests.filter(test => !test.browser_only).map(test => ({
    id: test.id,
    kind: test.kind ?? 'required',
    depends_on: test.depends_on ?? []
  }))
}))

const published = []
for (const cache of await from('results/index.mjs')) {
  const results = JSON.parse(await readFile(join(argv[2], 'results', cache.file)))
  published.push({ name: cache.name, version: cache.version, results })
}

console.log(JSON.stringify({ groups, published }))
