// Google's own client library against localcloud, over REST: node client.js HOST:PORT PROJECT TOPIC. Prints the message
// ids, one a line.
const {PubSub} = require('@google-cloud/pubsub');
const {OAuth2Client} = require('google-auth-library');

async function main(endpoint, projectId, topicName) {
  const authClient = new OAuth2Client(); // localcloud asks for no credentials; the library insists on having some
  authClient.setCredentials({access_token: 'none', expiry_date: Date.now() + 3600000});
  const rest = {protocol: 'http', fallback: true, emulatorMode: false};
  const pubsub = new PubSub({projectId, apiEndpoint: endpoint, authClient, ...rest});
  const [topic] = await pubsub.createTopic(topicName);
  const [subscription] = await topic.createSubscription(`${topicName}-sub`, {
    ackDeadlineSeconds: 20,
    deadLetterPolicy: {deadLetterTopic: topic.name, maxDeliveryAttempts: 7},
    retryPolicy: {minimumBackoff: {seconds: 1}, maximumBackoff: {seconds: 60}},
  });
  const [metadata] = await subscription.getMetadata();
  if (metadata.ackDeadlineSeconds !== 20 || metadata.deadLetterPolicy.maxDeliveryAttempts !== 7)
    throw new Error(`the subscription came back as ${JSON.stringify(metadata)}`);
  console.log(await topic.publishMessage({json: {target: 'main'}, attributes: {env: 'prod'}}));
  const ordered = pubsub.topic(topicName, {messageOrdering: true});
  console.log(await ordered.publishMessage({data: Buffer.from([0, 255, 62, 63]), orderingKey: 'k'}));
  try {
    await pubsub.topic('nobody').publishMessage({data: Buffer.from('x')});
    throw new Error('publishing to a topic that is not there succeeded');
  } catch (error) {
    if (!/not found/i.test(error.message)) throw error;
  }
}

main(...process.argv.slice(2)).catch(error => {
  console.error(error);
  process.exit(1);
});
