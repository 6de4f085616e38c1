// The suite's origin server, on loopback only: left alone it listens on every address of the machine.
// usage: node origin.mjs FOLDER-OF-THE-PACKAGE

import { Server } from 'node:http'
import { join } from 'node:path'
import { argv } from 'node:process'
import { pathToFileURL } from 'node:url'

const listen = Server.prototype.listen
Server.prototype.listen = function (port) {
  return listen.call(this, port, '127.0.0.1')
}

await import(pathToFileURL(join(argv[2], 'server/server.mjs')))
