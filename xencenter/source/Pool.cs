using System;
using System.Collections.Generic;
using System.Threading;

namespace Skinnybox
{
    /// <summary>
    /// A pool in XenCenter's own session, which is never ended here. All calls block; what a call throws is Trouble or
    /// Untrusted.
    /// </summary>
    internal sealed class Pool
    {
        private const string Plugin = "skinnybox";
        private const int Seconds = 60;

        /// <summary>What may be asked again is given little time at first: a call that got lost is one of seconds then.</summary>
        private static readonly int[] Patience = { 10, 30, 120 };
        private const int Pause = 500;

        private readonly JsonRpc rpc;
        private readonly string session;
        private string master;

        public readonly Uri Url;
        public readonly Certificate Certificate;

        /// <summary>As confirmed certificates are kept by: with its port always.</summary>
        public static string Address(Uri url)
        {
            return url.Host + ":" + url.Port;
        }

        /// <summary>Trouble where the session would go in clear.</summary>
        public Pool(Target target, Certificate certificate)
        {
            if (target.Url.Scheme != Uri.UriSchemeHttps)
            {
                throw new Trouble(
                    "XenCenter is connected to this pool without TLS (" + target.Url.Authority + ").",
                    "Connect at port 443: this plugin sends a session to nobody who cannot prove to be the pool.",
                    Ending.Unsupported);
            }
            Url = target.Url;
            Certificate = certificate;
            session = target.Session;
            rpc = new JsonRpc(target.Url, certificate);
        }

        /// <summary>A call that may be made again when no answer comes, as reads may.</summary>
        public object Ask(string method, params object[] parameters)
        {
            NoAnswer last = null;
            foreach (int seconds in Patience)
            {
                try
                {
                    return Once(method, seconds, parameters);
                }
                catch (NoAnswer lost)
                {
                    last = lost;
                    Thread.Sleep(Pause);
                }
            }
            throw Explanation.Of(last);
        }

        /// <summary>Made once. Throws NoAnswer too, for who goes on asking.</summary>
        public object Once(string method, int seconds, params object[] parameters)
        {
            var all = new object[parameters.Length + 1];
            all[0] = session;
            parameters.CopyTo(all, 1);
            try
            {
                return rpc.Call(method, seconds, all);
            }
            catch (Refused refused)
            {
                throw Explanation.Of(refused);
            }
        }

        public Record All(string of)
        {
            return new Record(Ask(of + ".get_all_records"));
        }

        /// <summary>What a function of the dom0 plugin answers that changes nothing.</summary>
        public Record AskPlugin(string function, IDictionary<string, string> values)
        {
            object answer = Ask("host.call_plugin", Master(), Plugin, function, values);
            return new Record(JsonReader.Read(Json.Text(answer)));
        }

        /// <summary>Begins a function of the dom0 plugin; the reference of its task.</summary>
        public string BeginPlugin(string function, IDictionary<string, string> values)
        {
            string host = Master();
            try
            {
                return Json.Text(Once("Async.host.call_plugin", Seconds, host, Plugin, function, values));
            }
            catch (NoAnswer lost)
            {
                throw new Trouble(
                    "The pool gave no answer when it was asked to begin: " + lost.Message,
                    "It may have begun all the same: look at the list of machines before you try again.");
            }
        }

        /// <summary>The reference of the host on which plugins are called.</summary>
        private string Master()
        {
            return master ?? (master = PoolRecord().Text("master"));
        }

        /// <summary>The reference of the pool itself.</summary>
        public string Reference()
        {
            return Json.Text(Json.List(Ask("pool.get_all"))[0]);
        }

        private Record PoolRecord()
        {
            return new Record(Ask("pool.get_record", Reference()));
        }
    }
}
