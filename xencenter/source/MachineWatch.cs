using System;
using System.Collections.Generic;
using System.Linq;

namespace Skinnybox
{
    internal enum Stage
    {
        Waiting,
        Begun,
        Complete,
        Made,
        Running
    }

    /// <summary>
    /// How far each machine of one call is, told by the pool's events: xapi's own task of a plugin says 0 until the
    /// end. The dom0 plugin names what it makes after its call until all of it is there.
    /// </summary>
    internal sealed class MachineWatch
    {
        private const string Mark = "skinnybox:call";
        private const string Ours = "skinnybox:dom0";
        private readonly Dictionary<string, Stage> stages;
        private readonly HashSet<string> references = new HashSet<string>();
        private readonly Dictionary<string, string> claims;
        private readonly bool starts;
        private string token = "";

        public MachineWatch(Order order, string call)
        {
            stages = order.Names.ToDictionary(name => name, name => Stage.Waiting);
            claims = order.Names.ToDictionary(name => "skinnybox is making " + name + " (" + call + ")", name => name);
            starts = order.IsStart;
        }

        public Stage this[string name]
        {
            get { return stages[name]; }
        }

        /// <summary>0 to 1.</summary>
        public double Fraction
        {
            get
            {
                double most = (double)(starts ? Stage.Running : Stage.Made);
                return stages.Values.Sum(stage => Math.Min(1.0, (double)stage / most)) / Math.Max(1, stages.Count);
            }
        }

        /// <summary>Waits up to a second for news. Best effort: a pool that tells none is no reason to fail.</summary>
        public void Look(Pool pool)
        {
            var answer = new Record(pool.Once("event.from", 10, new[] { "vm" }, token, 1.0));
            token = answer.Text("token");
            foreach (object each in answer.List("events"))
            {
                var told = new Record(each);
                if (told.Has("snapshot"))
                {
                    Take(told.Text("ref"), told.Object("snapshot"));
                }
            }
        }

        private void Take(string reference, Record machine)
        {
            string label = machine.Text("name_label");
            string name;
            if (claims.TryGetValue(label, out name))
            {
                references.Add(reference);
                Reach(name, machine.Object("other_config").Has(Mark) ? Stage.Complete : Stage.Begun);
            }
            else if (references.Contains(reference) && stages.ContainsKey(label) && machine.Object("other_config").Has(Ours))
            {
                Reach(label, machine.Text("power_state") == "Running" ? Stage.Running : Stage.Made);
            }
        }

        private void Reach(string name, Stage stage)
        {
            stages[name] = stage;
        }
    }
}
