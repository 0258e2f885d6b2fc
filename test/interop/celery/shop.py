import os
import time

from celery import Celery
from kombu.transport import azureservicebus


class Channel(azureservicebus.Channel):
    # It makes a connection string of its URL, for a host of Azure and TLS.
    def _try_parse_connection_string(self):
        self._connection_string = os.environ["SERVICE_BUS_CONNECTION_STR"]


azureservicebus.Transport.Channel = Channel

app = Celery("shop", broker="azureservicebus://name:key@broker", backend="rpc://")
app.conf.broker_transport_options = {"wait_time_seconds": 1, "peek_lock_seconds": 3, "use_lock_renewal": True}


@app.task
def total(prices):
    return sum(prices)


@app.task(bind=True, default_retry_delay=1)
def charge(self, card):
    if self.request.retries < 2:
        raise self.retry()
    return "%s charged at try %d" % (card, self.request.retries + 1)


@app.task(acks_late=True)
def pack(order, log):
    with open(log, "a", encoding="utf8") as file:
        file.write(order + "\n")
    time.sleep(6)
    return "packed"
