import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.List;
import org.h2.mvstore.MVStore;

/** `java -cp 'CLASSES:JARS/*' MongoTestServer PORT FILE`: prints its port (0 = any) when ready, ends when stdin does. */
class MongoTestServer {
    /** PyMongo refuses the wire version that this server gives by itself. */
    private static final MongoVersion VERSION = new MongoVersion() {
        @Override public List<Integer> getVersionArray() { return List.of(4, 4, 0, 0); }
        @Override public int getWireVersion() { return 9; }
    };

    public static void main(String[] arguments) throws Exception {
        MVStore file = new MVStore.Builder().fileName(arguments[1]).autoCommitDisabled().open();
        H2Backend backend = new H2Backend(file) {
            /** What is answered is in the file: an acknowledged write survives `kill -9`. */
            @Override public Document handleMessage(MongoMessage message) {
                Document answer = super.handleMessage(message);
                commit();
                return answer;
            }
        };
        MongoServer server = new MongoServer(backend.version(VERSION));
        server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
        System.out.println(server.getLocalAddress().getPort());
        while (System.in.read() >= 0) { }
        server.shutdownNow();
    }
}
