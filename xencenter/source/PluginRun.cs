using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Xml;

namespace Skinnybox
{
    /// <summary>What came of one machine.</summary>
    internal sealed class Made
    {
        public readonly string Name;
        public readonly string Uuid;
        public readonly bool IsStarted;

        /// <summary>"" where nothing failed; why it could not be started.</summary>
        public readonly string Error;

        public Made(string name, string uuid, bool isStarted, string error)
        {
            Name = name;
            Uuid = uuid;
            IsStarted = isStarted;
            Error = error;
        }

        public override string ToString()
        {
            return Printable.Line(Error != "" ? "made, not started: " + Error : IsStarted ? "made, started" : "made");
        }
    }

    /// <summary>
    /// One call of the dom0 plugin that changes the pool, as a task of xapi: begun, followed, cancelled, its answer
    /// read. It belongs to the pool from its beginning: when this program ends, it goes on.
    /// </summary>
    internal sealed class PluginRun
    {
        private const string CancelKey = "skinnybox:cancel:";
        private const int UsualPatience = 60;

        private readonly Pool pool;
        private readonly Order order;
        private readonly string call = Guid.NewGuid().ToString();
        private readonly MachineWatch watch;
        private volatile bool isCancelled;
        private bool isCancelTold;

        /// <summary>Whether the pool was lost on the way, so that nobody here knows what came of it.</summary>
        public bool IsLost { get; private set; }

        public PluginRun(Pool pool, Order order)
        {
            this.pool = pool;
            this.order = order;
            watch = new MachineWatch(order, call);
        }

        /// <summary>Asks the plugin to stop before the next machine; from any thread, and at once.</summary>
        public void Cancel()
        {
            isCancelled = true;
        }

        /// <summary>
        /// Blocks until all is made. Calls `progress` from this thread, about once a second. Trouble when nothing was
        /// made, or when the pool is lost.
        /// </summary>
        public IList<Made> Run(Action<MachineWatch> progress)
        {
            var values = new Dictionary<string, string>(order.Values) { { "call", call } };
            string task = pool.BeginPlugin(order.Function, values);
            try
            {
                IsLost = true;
                Record ended = Follow(task, progress);
                IsLost = false;
                return Read(ended);
            }
            finally
            {
                Forget(task);
            }
        }

        private Record Follow(string task, Action<MachineWatch> progress)
        {
            DateTime lastAnswer = DateTime.UtcNow;
            while (true)
            {
                try
                {
                    var record = new Record(pool.Once("task.get_record", 10, task));
                    lastAnswer = DateTime.UtcNow;
                    if (record.Text("status") != "pending" && record.Text("status") != "cancelling")
                    {
                        return record;
                    }
                    TellCancel();
                    watch.Look(pool);
                    progress(watch);
                }
                catch (NoAnswer lost)
                {
                    if (DateTime.UtcNow - lastAnswer > Patience())
                    {
                        throw Following(new Trouble("The pool does not answer any more: " + lost.Message, ""));
                    }
                    Thread.Sleep(1000);
                }
                catch (Trouble trouble)
                {
                    throw Following(trouble);
                }
            }
        }

        /// <summary>For how long a pool is asked again that does not answer: its toolstack may be starting anew.</summary>
        private static TimeSpan Patience()
        {
            int seconds;
            string said = Environment.GetEnvironmentVariable("SKINNYBOX_PATIENCE");
            return TimeSpan.FromSeconds(int.TryParse(said, out seconds) && seconds > 0 ? seconds : UsualPatience);
        }

        /// <summary>xapi cannot cancel a plugin's task; the plugin looks for this key before each machine.</summary>
        private void TellCancel()
        {
            if (isCancelled && !isCancelTold)
            {
                pool.Once("pool.add_to_other_config", 30, pool.Reference(), CancelKey + call, "1");
                isCancelTold = true;
            }
        }

        private IList<Made> Read(Record task)
        {
            if (task.Text("status") != "success")
            {
                List<string> details = task.List("error_info").Select(Json.Text).ToList();
                throw Explanation.Of(new Refused(details.Count > 0 ? details : new List<string> { "TASK_CANCELLED" }));
            }
            var answer = new Record(JsonReader.Read(Value(task.Text("result"))));
            if (order.Function == "batch" || order.Function == "provision")
            {
                bool isBatch = order.Function == "batch";
                IEnumerable<object> machines = isBatch ? answer.List("machines") : new[] { answer.Members };
                return machines.Select(each => One(new Record(each))).ToList();
            }
            Record template = answer.Object("template");
            return new[] { new Made(template.Text("name"), template.Text("uuid"), false, "") };
        }

        private static Made One(Record record)
        {
            string error = "";
            if (record.Has("error"))
            {
                error = Explanation.Of(new Refused(record.List("error").Select(Json.Text).ToList())).Message;
            }
            return new Made(record.Text("name"), record.Text("uuid"), record.Flag("started"), error);
        }

        /// <summary>A task's result is a piece of XML-RPC: the text of its value.</summary>
        private static string Value(string result)
        {
            try
            {
                var settings = new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit, XmlResolver = null };
                using (XmlReader reader = XmlReader.Create(new System.IO.StringReader(result), settings))
                {
                    var document = new XmlDocument { XmlResolver = null, PreserveWhitespace = true };
                    document.Load(reader);
                    return document.DocumentElement.InnerText;
                }
            }
            catch (XmlException)
            {
                throw Json.Unreadable("a result");
            }
        }

        /// <summary>Best effort: xapi forgets ended tasks by itself after an hour.</summary>
        private void Forget(string task)
        {
            try
            {
                if (isCancelTold)
                {
                    pool.Once("pool.remove_from_other_config", 10, pool.Reference(), CancelKey + call);
                }
                pool.Once("task.destroy", 10, task);
            }
            catch (NoAnswer)
            {
            }
            catch (Trouble)
            {
            }
            catch (Untrusted)
            {
            }
        }


        private static Trouble Following(Trouble trouble)
        {
            return new Trouble(
                trouble.Message,
                "What was begun may go on in the pool. Reconnect in XenCenter and look at the machines; what was left half "
                    + "done, the next call of the plugin takes back.",
                Ending.Failed,
                trouble.Code);
        }
    }
}
