import sys

from spark_worker.service import main

sys.exit(main())
