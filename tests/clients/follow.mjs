// Follows one subscription with graphql-ws and prints each answer as a line of JSON.
// node follow.mjs URL TOKEN QUERY [VARIABLES]
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, token, query, variables] = process.argv.slice(2);
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  retryAttempts: 0,
  connectionParams: { Authorization: `Bearer ${token}` },
});

for await (const answer of client.iterate({ query, variables: JSON.parse(variables ?? "{}") })) {
  console.log(JSON.stringify(answer));
}
await client.dispose();
