import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's own transactional producer, driven by lines on stdin.
 *
 * <pre>
 * init NAME TRANSACTIONAL_ID     a producer; a second one of the same id fences the first
 * begin NAME
 * send NAME TOPIC PARTITION COUNT   waits for the acknowledgements; prints "NAME PARTITION OFFSET KEY" for each record
 * commit NAME
 * abort NAME
 * </pre>
 *
 * Run as {@code java -cp JARS Transactions.java BOOTSTRAP}. Each command ends with a line "ok". At the end of stdin it halts:
 * what is open stays open.
 */
public final class Transactions {
    private static final Map<String, KafkaProducer<byte[], byte[]>> PRODUCERS = new HashMap<>();
    private static int sent = 0;

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.trim().split(" ");
            KafkaProducer<byte[], byte[]> producer = words.length > 1 ? PRODUCERS.get(words[1]) : null;
            switch (words[0]) {
                case "init" -> PRODUCERS.put(words[1], open(arguments[0], words[2]));
                case "begin" -> producer.beginTransaction();
                case "send" -> send(producer, words);
                case "commit" -> producer.commitTransaction();
                case "abort" -> producer.abortTransaction();
                default -> throw new IllegalArgumentException(line);
            }
            System.out.println("ok");
            System.out.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static KafkaProducer<byte[], byte[]> open(String bootstrap, String id) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("transactional.id", id);
        settings.put("transaction.timeout.ms", "900000");
        settings.put("linger.ms", "0");
        KafkaProducer<byte[], byte[]> made =
            new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
        made.initTransactions();
        return made;
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String[] words) throws Exception {
        int partition = Integer.parseInt(words[3]);
        List<Future<RecordMetadata>> futures = new ArrayList<>();
        List<String> keys = new ArrayList<>();
        for (int n = 0; n < Integer.parseInt(words[4]); n++) {
            String key = words[1] + "-" + sent++;
            keys.add(key);
            byte[] value = ("value of " + key).getBytes();
            futures.add(producer.send(new ProducerRecord<>(words[2], partition, key.getBytes(), value)));
        }
        producer.flush();
        for (int n = 0; n < keys.size(); n++) {
            System.out.println(words[1] + " " + partition + " " + futures.get(n).get().offset() + " " + keys.get(n));
        }
    }
}
