with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}
    where recency_rank <= {{ var('feature_months') }}

),

as_of_months as (

    select * from {{ ref('int_as_of_months') }}

),

customers as (

    select * from {{ ref('stg_crm__customers') }}
    where is_latest_version

),

programmes as (

    select * from {{ ref('stg_crm__programme_enrolments') }}
    where is_latest_version

),

last_as_of_month as (

    select max(as_of_month_number) as last_as_of_month_number from as_of_months

),

-- What was joined while such enrolments were delivered; before that, "joined nothing" means "not delivered".
joined_programmes as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        count(distinct programmes.programme) as programmes_joined_count
    from as_of_customers
    inner join programmes
        on
            as_of_customers.customer_key = programmes.customer_key
            and {{ month_number('programmes.joined_date') }} > as_of_customers.as_of_month_number
            and {{ month_number('programmes.joined_date') }}
            <= as_of_customers.as_of_month_number + {{ var('relationship_horizon_months') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

windows as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month,
        as_of_customers.as_of_month_number,
        as_of_months.has_programmes,
        coalesce(joined_programmes.programmes_joined_count, 0) as programmes_joined_count,
        case
            when as_of_customers.closed_date <= as_of_customers.month_end_date then 'closed'
            when as_of_customers.closed_date is not null then 'closing_announced'
            -- The end became known after the as-of instant: who had left cannot leave.
            when customers.closed_date <= as_of_customers.month_end_date then 'closed'
        end as exclusion,
        as_of_customers.as_of_month_number + {{ var('relationship_horizon_months') }}
        <= last_as_of_month.last_as_of_month_number as is_mature,
        {{ month_end('(as_of_customers.as_of_month_number + ' ~ var('relationship_horizon_months') ~ ')') }}
            as window_end_date,
        as_of_customers.month_end_date,
        customers.closed_date
    from as_of_customers
    cross join last_as_of_month
    inner join as_of_months
        on as_of_customers.as_of_month_number = as_of_months.as_of_month_number
    left join customers
        on as_of_customers.customer_key = customers.customer_key
    left join joined_programmes
        on
            as_of_customers.customer_key = joined_programmes.customer_key
            and as_of_customers.as_of_month_number = joined_programmes.as_of_month_number

),

final as (

    select
        customer_key,
        cast(as_of_month as date) as as_of_month,
        is_mature,
        case
            when is_mature then coalesce(closed_date > month_end_date and closed_date <= window_end_date, false)
        end as is_leaving,
        case when is_mature and has_programmes then programmes_joined_count > 0 end as is_joining,
        exclusion,
        cast(window_end_date as date) as window_end_date
    from windows

)

select * from final
